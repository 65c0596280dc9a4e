package store_test

import (
	"testing"
	"time"

	"cordon"
)

// testTouch changes what is there and brings nothing back that is gone.
func testTouch(t *testing.T, b *bench) {
	ctx, later := t.Context(), cordon.TimeOf(start.Add(time.Hour))
	must(t, b.PutUser(ctx, &cordon.User{ID: "u", Email: "ada@example.org"}))
	e := cordon.Session{Hash: [32]byte{1}, User: "u", Created: b.at(), Expires: b.at().Add(time.Minute)}
	tok := cordon.Token{ID: "t", Hash: [32]byte{2}, User: "u", Created: b.at(), Expires: later}
	k := cordon.Passkey{ID: []byte{3}, User: "u", Name: "phone", Data: []byte("{}"), Created: b.at()}
	must(t, b.PutSession(ctx, &e))
	must(t, b.PutToken(ctx, &tok))
	must(t, b.PutPasskey(ctx, &k))

	must(t, b.TouchSession(ctx, e.Hash, later))
	must(t, b.TouchToken(ctx, tok.ID, later))
	must(t, b.TouchPasskey(ctx, k.ID, []byte(`{"n":1}`), later))
	if got := get[cordon.Session](t)(b.SessionByHash(ctx, e.Hash)); got.Expires != later || got.User != "u" {
		t.Errorf("session %+v", got)
	}
	if got := get[cordon.Token](t)(b.TokenByHash(ctx, tok.Hash)); got.Used != later || got.Expires != later {
		t.Errorf("token %+v", got)
	}
	if got := get[[]cordon.Passkey](t)(b.Passkeys(ctx, "u")); len(got) != 1 || got[0].Used != later || string(got[0].Data) != `{"n":1}` || got[0].Name != "phone" {
		t.Errorf("passkeys %+v", got)
	}

	must(t, b.DeleteSession(ctx, e.Hash))
	must(t, b.DeleteToken(ctx, tok.ID))
	must(t, b.DeletePasskey(ctx, k.ID))
	wants(t, "an ended session", b.TouchSession(ctx, e.Hash, later), cordon.ErrNotFound)
	wants(t, "an ended token", b.TouchToken(ctx, tok.ID, later), cordon.ErrNotFound)
	wants(t, "a removed passkey", b.TouchPasskey(ctx, k.ID, nil, later), cordon.ErrNotFound)
	_, err := b.SessionByHash(ctx, e.Hash)
	wants(t, "an ended session", err, cordon.ErrNotFound)
}
