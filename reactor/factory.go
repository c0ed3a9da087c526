package reactor

import (
	"log/slog"
	"reflect"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// startFactory counts a use of f, and starts it at the first (TCP-14).
func (r *Reactor) startFactory(f Factory) error {
	s, ok := f.(StartStopper)
	if !ok || !reflect.TypeOf(f).Comparable() {
		return nil
	}
	if r.factories[f]++; r.factories[f] > 1 {
		return nil
	}
	r.log.Info("starting factory", slog.String("factory", prefixOf(f)))
	r.observe(kernel.Note{Kind: kernel.NoteStartFactory})
	_, err := protect(r, prefixOf(f), func() (struct{}, error) { return struct{}{}, s.StartFactory() })
	if err != nil {
		delete(r.factories, f)
	}
	return err
}

// stopFactory takes a use back, and stops f at the last. Without a use it does
// nothing.
func (r *Reactor) stopFactory(f Factory) error {
	s, ok := f.(StartStopper)
	if !ok || !reflect.TypeOf(f).Comparable() || r.factories[f] == 0 {
		return nil
	}
	if r.factories[f]--; r.factories[f] > 0 {
		return nil
	}
	delete(r.factories, f)
	r.log.Info("stopping factory", slog.String("factory", prefixOf(f)))
	r.observe(kernel.Note{Kind: kernel.NoteStopFactory})
	_, err := protect(r, prefixOf(f), func() (struct{}, error) { return struct{}{}, s.StopFactory() })
	return err
}

// Defaults of StreamConfig and DialConfig.
const (
	defaultHighWater   = 64 << 10
	defaultMaxBuffered = 1 << 30
	defaultTimeout     = 30 * time.Second
)

func (c *StreamConfig) fill() error {
	if c.HighWater == 0 {
		c.HighWater = defaultHighWater
	}
	if c.MaxBuffered == 0 {
		c.MaxBuffered = defaultMaxBuffered
	}
	if c.LowWater < 0 || c.LowWater >= c.HighWater {
		return ErrMarks
	}
	return nil
}

// complete copies c and fills in the defaults.
func (c *ListenConfig) complete() (ListenConfig, error) {
	var full ListenConfig
	if c != nil {
		full = *c
	}
	return full, full.fill()
}

// complete copies c and fills in the defaults.
func (c *DialConfig) complete() (DialConfig, error) {
	var full DialConfig
	if c != nil {
		full = *c
	}
	if full.Timeout == 0 {
		full.Timeout = defaultTimeout
	}
	return full, full.fill()
}
