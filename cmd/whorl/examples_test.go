package main

import (
	"errors"
	"io/fs"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/endpoint/std"
)

// The descriptions in the examples of the help have types and arguments that there are.
func TestDescriptionsInHelp(t *testing.T) {
	texts := map[string]string{"whorl": description}
	commands := reflect.TypeFor[cli]()
	for i := range commands.NumField() {
		f := commands.Field(i)
		if h, ok := reflect.New(f.Type).Interface().(interface{ Help() string }); ok {
			texts[f.Name] = h.Help()
		}
	}
	description := regexp.MustCompile(`^(tcp|tls|ssl|udp|unix|unixgram|fd|exec|serial|systemd|haproxy)[46]?:`)
	shown := 0
	for where, text := range texts {
		for line := range strings.Lines(text) {
			_, command, ok := strings.Cut(line, "    whorl ")
			if !ok {
				continue
			}
			for _, word := range strings.Fields(command) {
				if !description.MatchString(word) {
					continue
				}
				shown++
				if err := anyPlace(word); err != nil {
					t.Errorf("help of %s: %v", where, err)
				}
			}
		}
	}
	if shown < 30 {
		t.Errorf("only %d descriptions were found", shown)
	}
}

// anyPlace fails unless text describes a place of any kind. Its files, and the sockets of a service manager, may be missing.
func anyPlace(text string) error {
	known := std.Schemes(nil)
	var errs []error
	for _, find := range []func() error{
		func() error { _, err := known.Server(text); return err },
		func() error { _, err := known.Client(text); return err },
		func() error { _, err := known.PacketServer(text); return err },
		func() error { _, err := known.PacketClient(text); return err },
	} {
		err := find()
		if err == nil || errors.Is(err, fs.ErrNotExist) || strings.HasPrefix(text, "systemd:") {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
