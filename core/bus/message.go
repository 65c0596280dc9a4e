package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// appendWithin is how long an append may take. After that it is not known whether the
// message was taken.
const appendWithin = 10 * time.Second

// Append adds a message to the stream of subject. It returns nil when the message
// survives a power cut, and ErrFull when there is no room. After any other error the
// message may have been taken or not.
func (b *Bus) Append(ctx context.Context, subject string, data []byte) error {
	if _, err := durable(subject); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, appendWithin)
	defer cancel()
	if _, err := b.js.Publish(ctx, subject, data); err != nil {
		var refused *jetstream.APIError
		if errors.As(err, &refused) && (refused.ErrorCode == codeStoreFull || refused.ErrorCode == codeNoRoom) {
			return fmt.Errorf("append to %s: %w", subject, ErrFull)
		}
		return fmt.Errorf("append to %s: %w", subject, err)
	}
	return nil
}

// What the server answers when a stream or the disk is full (its errors.json).
const (
	codeStoreFull jetstream.ErrorCode = 10077 // JSStreamStoreFailedF: "maximum bytes exceeded"
	codeNoRoom    jetstream.ErrorCode = 10047 // JSStorageResourcesExceededErr
)

// How appended messages are handled.
const (
	// ackWithin is how long a handler may take before another instance gets the
	// messages, too.
	ackWithin = 20 * time.Second
	// maxUnacked is how many messages may be with handlers, of all instances.
	maxUnacked = 512
	// fetchAhead is how many messages an instance asks for, and the most that a handler
	// gets at once.
	fetchAhead = 32
	// firstRetry is when a message comes again after its handler failed; the wait doubles
	// each time, to lastRetry.
	firstRetry = 500 * time.Millisecond
	lastRetry  = 30 * time.Second
	// strayEvery is how often it is looked for messages that the server has lost sight of.
	strayEvery = 30 * time.Second
	// noteWithin is how long the server may take to note that messages were handled.
	noteWithin = 2 * time.Second
)

// Consume calls handle with the messages of subject, one call at a time, until ctx is
// done. Instances share the work; all of them give the same name, since a message is
// gone when one has handled it, with nil. Else it comes again later, to any instance. A
// message may come twice.
func (b *Bus) Consume(ctx context.Context, name, subject string, handle func(ctx context.Context, messages [][]byte) error) error {
	stream, err := durable(subject)
	if err != nil {
		return err
	}
	consumer, err := b.js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: name, FilterSubject: subject,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWithin, MaxAckPending: maxUnacked,
	})
	if err != nil {
		return fmt.Errorf("consume %s: %w", subject, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(fetchAhead))
	if err != nil {
		return fmt.Errorf("consume %s: %w", subject, err)
	}
	defer messages.Stop()
	incoming := make(chan jetstream.Msg, fetchAhead)
	failed := make(chan error, 1)
	go func() { // Next cannot be asked whether it would wait
		defer close(incoming)
		for {
			m, err := messages.Next(jetstream.NextContext(ctx))
			switch {
			case errors.Is(err, jetstream.ErrNoHeartbeat): // the server is away; it asks again by itself
				continue
			case err != nil:
				failed <- err
				return
			}
			select {
			case incoming <- m:
			case <-ctx.Done():
				failed <- ctx.Err()
				return
			}
		}
	}()
	look := time.NewTicker(strayEvery)
	defer look.Stop()
	for {
		select {
		case first, ok := <-incoming:
			if ok {
				b.handle(ctx, gather(first, incoming, fetchAhead), handle)
				continue
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("consume %s: %w", subject, <-failed)
		case <-look.C:
			if err := b.strays(ctx, stream, consumer, subject, handle); err != nil && ctx.Err() == nil {
				b.cfg.Log.DebugContext(ctx, "strays not looked for", "err", err)
			}
		}
	}
}

// strays handles messages that the server takes for handled and has nonetheless. A server
// that is stopped while messages come in can leave one behind: its consumer is beyond it,
// so it is given to nobody any more, and whether anybody had it is not known. To handle
// what was handled is no harm.
func (b *Bus) strays(ctx context.Context, name string, consumer jetstream.Consumer, subject string, handle func(context.Context, [][]byte) error) error {
	stream, err := b.js.Stream(ctx, name)
	if err != nil {
		return err
	}
	about, err := consumer.Info(ctx)
	if err != nil {
		return err
	}
	for next := uint64(1); ; {
		m, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(subject))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence > about.AckFloor.Stream:
			return nil
		case err != nil:
			return err
		}
		if err := handle(ctx, [][]byte{m.Data}); err != nil {
			return err
		}
		if err := stream.DeleteMsg(ctx, m.Sequence); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return err
		}
		b.cfg.Log.WarnContext(ctx, "the bus had lost sight of a message, which is handled now", "stream", name, "message", m.Sequence)
		next = m.Sequence + 1
	}
}

// gather returns the first message with what is there besides, at most most in all.
func gather[T any](first T, from <-chan T, most int) []T {
	batch := []T{first}
	for len(batch) < most {
		select {
		case m, ok := <-from:
			if !ok {
				return batch
			}
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}

// handle calls a handler with messages and tells the server what became of them.
func (b *Bus) handle(ctx context.Context, batch []jetstream.Msg, handle func(context.Context, [][]byte) error) {
	data := make([][]byte, len(batch))
	for i, m := range batch {
		data[i] = m.Data()
	}
	err := handle(ctx, data)
	if err != nil && ctx.Err() == nil { // the handler has said why
		b.cfg.Log.DebugContext(ctx, "messages come again", "subject", batch[0].Subject(), "messages", len(batch), "err", err)
	}
	if err == nil {
		if err := acknowledge(ctx, batch); err != nil { // they come again, which is no harm
			b.cfg.Log.DebugContext(ctx, "messages not acknowledged", "err", err)
		}
		return
	}
	for _, m := range batch {
		tries := 1
		if about, err := m.Metadata(); err == nil {
			tries = int(about.NumDelivered)
		}
		if err := m.NakWithDelay(retryAfter(tries)); err != nil {
			b.cfg.Log.DebugContext(ctx, "message not returned", "err", err)
		}
	}
}

// acknowledge tells the server that messages were handled, and waits until it has noted
// the last, so that they do not come again when core ends now.
func acknowledge(ctx context.Context, batch []jetstream.Msg) error {
	last := len(batch) - 1
	for _, m := range batch[:last] {
		if err := m.Ack(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	return batch[last].DoubleAck(ctx)
}

// retryAfter is how long a message waits after its handler failed that many times.
func retryAfter(tries int) time.Duration {
	wait := firstRetry
	for ; tries > 1 && wait < lastRetry; tries-- {
		wait *= 2
	}
	return min(wait, lastRetry)
}

// Announce says something to all instances of core that listen now.
func (b *Bus) Announce(subject string, data []byte) error {
	if err := spoken(subject); err != nil {
		return err
	}
	if err := b.core.Publish(subject, data); err != nil {
		return fmt.Errorf("announce %s: %w", subject, err)
	}
	return nil
}

// Listen calls handle with what is announced on subject, one call at a time, until ctx
// is done. What is announced while the connection is lost is not heard.
func (b *Bus) Listen(ctx context.Context, subject string, handle func(data []byte)) error {
	if err := spoken(subject); err != nil {
		return err
	}
	sub, err := b.core.SubscribeSync(subject)
	if err != nil {
		return fmt.Errorf("listen to %s: %w", subject, err)
	}
	return b.each(ctx, sub, func(m *nats.Msg) { handle(m.Data) })
}

// ToRouter says something to a router. It does not say whether the router heard it.
func (b *Bus) ToRouter(router, what string, data []byte) error {
	if !isRouter(router) {
		return fmt.Errorf("tell router %q: not an id", router)
	}
	return b.tell(router, what, data)
}

// ToAll says something to every router that is connected.
func (b *Bus) ToAll(what string, data []byte) error { return b.tell(all, what, data) }

func (b *Bus) tell(whom, what string, data []byte) error {
	subject, err := address(toRouter, whom, what)
	if err != nil {
		return err
	}
	if err := b.routers.Publish(subject, data); err != nil {
		return fmt.Errorf("tell %s: %w", subject, err)
	}
	return nil
}

// maxWaiting is how many messages may wait for a handler, and their bytes. What comes
// on top is lost: who wants an answer asks again.
const (
	maxWaiting      = 64 << 10
	maxWaitingBytes = 256 << 20
)

// FromRouters calls handle with what routers say about what, one call at a time, until
// ctx is done. Instances share the messages. The router is the one that the server let
// in, whatever the message says. Hellos that were said while no instance listened are
// asked for.
func (b *Bus) FromRouters(ctx context.Context, what string, handle func(router string, data []byte)) error {
	subject, err := address(fromRouter, "any", what)
	if err != nil {
		return err
	}
	subject = fromRouter + "*." + what
	sub, err := b.routers.QueueSubscribeSync(subject, queue)
	if err != nil {
		return fmt.Errorf("hear %s: %w", subject, err)
	}
	if err := sub.SetPendingLimits(maxWaiting, maxWaitingBytes); err != nil {
		return fmt.Errorf("hear %s: %w", subject, err)
	}
	if what == hello {
		b.callRoll()
	}
	return b.each(ctx, sub, func(m *nats.Msg) { // m.Reply is never used: see the package's doc
		if router, ok := sender(m.Subject); ok {
			handle(router, m.Data)
		}
	})
}

// callRoll asks every router for its hello: those that were connected before this
// instance listened, or while its connection was lost, may have said it to nobody.
func (b *Bus) callRoll() {
	if err := b.ToAll(hello, nil); err != nil { // the connection is lost again, and will be back again
		b.cfg.Log.Warn("routers are not asked what they have", "err", err)
	}
}

// each calls handle with the messages of a subscription until ctx is done.
func (b *Bus) each(ctx context.Context, sub *nats.Subscription, handle func(*nats.Msg)) error {
	defer sub.Unsubscribe()
	for dropped := 0; ; {
		m, err := sub.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, nats.ErrSlowConsumer):
			if now, err := sub.Dropped(); err == nil {
				b.lost.Add(uint64(now - dropped))
				dropped = now
			}
			continue
		case err != nil:
			return fmt.Errorf("hear %s: %w", sub.Subject, err)
		}
		handle(m)
	}
}
