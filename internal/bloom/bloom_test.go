package bloom

import (
	"math/rand/v2"
	"testing"
)

func TestPairRemembersOneTurn(t *testing.T) {
	var p Pair
	const turn = 100
	if p.Add(42, 0, turn) {
		t.Fatal("an empty pair has seen 42")
	}
	if !p.Add(42, 99, turn) {
		t.Error("forgot 42 within the turn")
	}
	p.Add(7, 150, turn)
	if !p.Add(42, 199, turn) {
		t.Error("forgot 42 one turn later")
	}
	p.Add(8, 300, turn)
	p.Add(9, 400, turn)
	if p.Add(42, 500, turn) {
		t.Error("still knows 42 three turns later")
	}
}

func TestPairFalsePositives(t *testing.T) {
	var p Pair
	rng := rand.New(rand.NewPCG(1, 2))
	wrong, n := 0, 100_000
	for range n {
		if p.Add(rng.Uint64(), 0, 1<<60) {
			wrong++
		}
	}
	// Both filters full: below 2 × 0.9 %, however many keys went through.
	if rate := float64(wrong) / float64(n); rate > 0.02 {
		t.Errorf("%.2f %% of fresh keys taken for seen, want < 2 %%", 100*rate)
	}
}
