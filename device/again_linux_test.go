package device_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// INOT-5: the end of a watch is told when it is over. Who watches the path again in that callback, because a file was replaced, has a watch that lasts.
func TestAddInLastEvent(t *testing.T) {
	for name, c := range map[string]struct {
		dir, recursive, open bool
		told                 []string // of what is done to the new one
	}{
		"file":                {told: []string{"modify ", "closewrite "}},
		"open file":           {open: true, told: []string{"modify ", "closewrite "}},
		"directory":           {dir: true, told: []string{"create x", "modify x", "closewrite x"}},
		"recursive directory": {dir: true, recursive: true, told: []string{"create x", "modify x", "closewrite x"}},
	} {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(t *testing.T, r *reactor.Reactor) {
				path := filepath.Join(t.TempDir(), "watched")
				create, touched := func() { touch(t, path) }, path
				if c.dir {
					create, touched = func() { do(t, os.Mkdir(path, 0o700)) }, filepath.Join(path, "x")
				}
				create()
				n := newTestNotifier(t, r)
				d := &diary{t: t, dir: path}
				cfg := device.WatchConfig{Recursive: c.recursive, Mask: device.Modify | device.CloseWrite | device.Create}
				var again *device.Watch
				_, err := n.Add(path, cfg, func(e device.Event) {
					d.event(e)
					if e.Mask&device.DeleteSelf != 0 {
						if e.Watch.Active() {
							t.Error("INOT-5: the watch counts as active in its last event")
						}
						var err error
						again, err = n.Add(path, cfg, d.event)
						do(t, err)
					}
				})
				do(t, err)
				settle(t, r, n)
				if c.open {
					f, err := os.Open(path)
					do(t, err)
					defer f.Close()
				}
				do(t, os.Remove(path))
				create()
				settle(t, r, n)
				d.wants("deleteself ")
				if again == nil || !again.Active() || n.Watches() != 1 {
					t.Fatal("INOT-5: the new watch does not last")
				}
				do(t, os.WriteFile(touched, []byte("x"), 0o600))
				settle(t, r, n)
				d.wants(c.told...)
			})
		})
	}
}

// INOT-3: a path that is added again has the new configuration in the place of the old one, also in the directories below
// it that are watched already, and Ready tells when.
func TestAddAgainRecursive(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		dir := t.TempDir()
		deep := filepath.Join(dir, "sub", "deep")
		do(t, os.MkdirAll(deep, 0o700))
		n := newTestNotifier(t, r)
		w, first := recursive(t, r, n, dir)
		do(t, os.Mkdir(filepath.Join(dir, "unread"), 0o700)) // its event comes after Add
		again := &diary{t: t, dir: dir}
		cfg := device.WatchConfig{Recursive: true, Mask: device.Create | device.CloseWrite, Ready: func() { again.ready++ }}
		same, err := n.Add(dir, cfg, again.event)
		do(t, err)
		if same != w || again.ready != 0 {
			t.Errorf("INOT-3: the same watch: %v; ready inside Add: %d times", same == w, again.ready)
		}
		testworld.Until(t, func() bool { return again.ready > 0 }, r)
		settle(t, r, n)
		again.wants("create|isdir unread")
		touch(t, filepath.Join(dir, "x"), filepath.Join(deep, "x"), filepath.Join(dir, "unread", "x"))
		settle(t, r, n)
		again.wants("create x", "closewrite x", "create sub/deep/x", "closewrite sub/deep/x", "create unread/x", "closewrite unread/x")
		first.wants()
		if first.ready != 1 || again.ready != 1 || n.Watches() != 4 {
			t.Errorf("ready %d times, and again %d times; %d watches of the system", first.ready, again.ready, n.Watches())
		}
	})
}

// A watch without a function is a mistake that Add names, and not the first event.
func TestAddWithoutFunction(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		n := newTestNotifier(t, r)
		defer func() {
			if v, ok := recover().(string); !ok || !strings.Contains(v, "Add of a nil function") || n.Watches() != 0 {
				t.Errorf("it says %q, with %d watches", v, n.Watches())
			}
		}()
		_, err := n.Add(t.TempDir(), device.WatchConfig{}, nil)
		t.Error(err)
	})
}

// INOT-5: that a directory was removed is told when no file of it is open any more. Until then, Add watches the one that has taken its place.
func TestDirectoryOfOpenFileGoes(t *testing.T) {
	for _, again := range []bool{false, true} {
		worlds(t, func(t *testing.T, r *reactor.Reactor) {
			dir := filepath.Join(t.TempDir(), "watched")
			do(t, os.Mkdir(dir, 0o700))
			touch(t, filepath.Join(dir, "x"))
			f, err := os.Open(filepath.Join(dir, "x"))
			do(t, err)
			defer f.Close()
			n := newTestNotifier(t, r)
			d := &diary{t: t, dir: dir}
			cfg := device.WatchConfig{Mask: device.Create | device.Delete}
			w, err := n.Add(dir, cfg, d.event)
			do(t, err)
			do(t, os.RemoveAll(dir))
			settle(t, r, n)
			d.wants("delete x")
			if again {
				do(t, os.Mkdir(dir, 0o700))
				_, err = n.Add(dir, cfg, d.event)
				do(t, err)
				touch(t, filepath.Join(dir, "y"))
				settle(t, r, n)
				d.wants("create y")
			}
			do(t, f.Close())
			settle(t, r, n)
			if again {
				d.wants()
			} else {
				d.wants("deleteself ")
			}
			if w.Active() != again {
				t.Errorf("INOT-5: active: %v", w.Active())
			}
		})
	}
}
