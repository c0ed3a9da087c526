package device_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// INOT-1, INOT-2: each event of a path and of its children, with the path it is about.
func TestEvents(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		dir := t.TempDir()
		n := newTestNotifier(t, r)
		d := &diary{t: t, dir: dir}
		w, err := n.Add(dir, device.WatchConfig{Mask: device.Everything}, d.event)
		do(t, err)
		next := func(what string, err error, want ...string) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			settle(t, r, n)
			d.wants(want...)
		}
		f := filepath.Join(dir, "f")
		file, err := os.Create(f)
		next("create", err, "create f", "open f")
		_, err = file.WriteString("x")
		next("write", err, "modify f")
		next("close", file.Close(), "closewrite f")
		next("chmod", os.Chmod(f, 0o400), "attrib f")
		_, err = os.ReadFile(f)
		next("read", err, "open f", "access f", "closenowrite f")
		next("rename", os.Rename(f, f+"2"), "movedfrom|movedto f2 was f")
		next("remove", os.Remove(f+"2"), "delete f2")
		next("mkdir", os.Mkdir(f, 0o700), "create|isdir f")
		next("rmdir", os.Remove(f), "delete|isdir f")
		odd := filepath.Join(dir, "\xff\xfe\n")
		next("mkdir", os.Mkdir(odd, 0o700), "create|isdir \xff\xfe\n")
		next("rmdir", os.Remove(odd), "delete|isdir \xff\xfe\n")
		next("move self", os.Rename(dir, dir+"2"), "moveself ")
		next("delete self", os.Remove(dir+"2"), "deleteself ") // INOT-5
		if w.Active() || n.Watches() != 0 {
			t.Error("INOT-5: the watch is still there")
		}
	})
}

// The mask is what is told, also when another watch of the same directory asks for more.
func TestMasksApart(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		dir := t.TempDir()
		link := filepath.Join(t.TempDir(), "link")
		do(t, os.Symlink(dir, link))
		n := newTestNotifier(t, r)
		all, some := &diary{t: t, dir: dir}, &diary{t: t, dir: link}
		_, err := n.Add(dir, device.WatchConfig{Mask: device.Create | device.Delete}, all.event)
		do(t, err)
		w, err := n.Add(link, device.WatchConfig{Mask: device.Delete}, some.event)
		do(t, err)
		if n.Watches() != 1 {
			t.Errorf("%d watches of one directory", n.Watches())
		}
		touch(t, dir+"/f")
		do(t, os.Remove(dir+"/f"))
		settle(t, r, n)
		all.wants("create f", "delete f")
		some.wants("delete f")
		w.Close()
		w.Close()
		touch(t, dir+"/f")
		settle(t, r, n)
		all.wants("create f")
		some.wants()
	})
}

// INOT-3: watching a path again makes no second watch. INOT-6: a watch is removed by its path.
func TestAddAgainAndRemove(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		dir := t.TempDir()
		do(t, os.Mkdir(dir+"/sub", 0o700))
		n := newTestNotifier(t, r)
		first, second := &diary{t: t, dir: dir}, &diary{t: t, dir: dir}
		w, err := n.Add(dir, device.WatchConfig{}, first.event)
		do(t, err)
		again, err := n.Add(dir+"/.", device.WatchConfig{Mask: device.Create, Recursive: true, Ready: func() { second.ready++ }}, second.event)
		do(t, err)
		if again != w || n.Watches() != 1 {
			t.Errorf("INOT-3: another watch, %d in all", n.Watches())
		}
		testworld.Until(t, func() bool { return second.ready == 1 }, r)
		touch(t, dir+"/sub/f")
		settle(t, r, n)
		first.wants()
		second.wants("create sub/f")
		_, err = n.Add(dir, device.WatchConfig{Mask: device.Create}, second.event)
		do(t, err)
		touch(t, dir+"/sub/g", dir+"/h")
		settle(t, r, n)
		second.wants("create h")
		do(t, n.Remove(dir))
		touch(t, dir+"/i")
		settle(t, r, n)
		second.wants()
		if n.Watches() != 0 || w.Active() {
			t.Errorf("INOT-6: %d watches are left, active %t", n.Watches(), w.Active())
		}
		if err := n.Remove(dir); !errors.Is(err, device.ErrNotWatched) {
			t.Errorf("INOT-6: Remove of what is not watched: %v", err)
		}
		_, err = n.Add(dir+"/none", device.WatchConfig{}, second.event)
		if se, ok := errors.AsType[*kernel.SysError](err); !ok || !errors.Is(err, fs.ErrNotExist) || se.Op != "inotify_add_watch" {
			t.Errorf("Add of nothing: %v", err)
		}
	})
}

// INOT-4: a recursive watch has the directories that are there, and new ones with what was in them before they
// were watched. Nothing is told twice.
func TestRecursive(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		dir := t.TempDir()
		do(t, os.MkdirAll(dir+"/old/deep", 0o700))
		touch(t, dir+"/old/deep/before")
		n := newTestNotifier(t, r)
		_, d := recursive(t, r, n, dir)
		d.wants()
		touch(t, dir+"/old/deep/f")
		settle(t, r, n)
		d.wants("create old/deep/f")
		do(t, os.MkdirAll(dir+"/a/b/c", 0o700))
		touch(t, dir+"/a/f", dir+"/a/b/c/f")
		settle(t, r, n)
		slices.Sort(d.lines)
		d.wants("create a/b/c/f scanned", "create a/f scanned", "create|isdir a", "create|isdir a/b scanned", "create|isdir a/b/c scanned")
		touch(t, dir+"/a/b/c/g")
		do(t, os.RemoveAll(dir+"/a/b"))
		settle(t, r, n)
		d.wants("create a/b/c/g", "delete a/b/c/f", "delete a/b/c/g", "delete|isdir a/b/c", "delete|isdir a/b")
		// The event and the list both have it.
		do(t, os.Mkdir(dir+"/a/x", 0o700))
		for !strings.Contains(strings.Join(d.lines, ","), "a/x") {
			do(t, n.Pull())
		}
		touch(t, dir+"/a/x/1")
		do(t, n.Pull()) // told by its event, before the list
		touch(t, dir+"/a/x/2")
		n.RunJobs() // told by the list, before its event
		settle(t, r, n)
		d.wants("create|isdir a/x", "create a/x/1", "create a/x/2 scanned")
		if n.Remembers(dir, "a", "x") {
			t.Error("names are remembered for ever")
		}
		do(t, os.Remove(dir+"/a/x/1"))
		touch(t, dir+"/a/x/1")
		settle(t, r, n)
		d.wants("delete a/x/1", "create a/x/1")
	})
}

// The halves of a move are told together, with the directory's contents going along; one half that stays alone is told when its
// time is over.
func TestMoves(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		dir, out := t.TempDir(), t.TempDir()
		do(t, os.MkdirAll(dir+"/a/b", 0o700))
		do(t, os.Mkdir(dir+"/z", 0o700))
		n := newTestNotifier(t, r)
		_, d := recursive(t, r, n, dir)
		do(t, os.Rename(dir+"/a", dir+"/z/c"))
		touch(t, dir+"/z/c/b/f")
		settle(t, r, n)
		d.wants("movedfrom|movedto|isdir z/c was a", "create z/c/b/f")
		began := r.Now()
		do(t, os.Rename(dir+"/z/c", out+"/c"))
		touch(t, out+"/c/b/g")
		testworld.Until(t, func() bool { return len(d.lines) > 1 }, r)
		if took := r.Now() - began; took < device.DefaultMoveWindow {
			t.Errorf("gave the half up after %v", took)
		}
		settle(t, r, n)
		d.wants("create z/c/b/g", "movedfrom|isdir z/c")
		if n.Watches() != 2 {
			t.Errorf("%d watches, want those of the root and of z", n.Watches())
		}
		touch(t, out+"/c/b/h")
		settle(t, r, n)
		d.wants()
		do(t, os.Rename(out+"/c/b", dir+"/b"))
		touch(t, dir+"/b/i")
		settle(t, r, n)
		slices.Sort(d.lines[1:])
		d.wants("movedto|isdir b", "create b/f scanned", "create b/g scanned", "create b/h scanned", "create b/i scanned")
		// A half that waits is told before what comes to have its name.
		touch(t, dir+"/name")
		do(t, os.Rename(dir+"/name", out+"/name"))
		touch(t, dir+"/name")
		settle(t, r, n)
		d.wants("create name", "movedfrom name", "create name")
		do(t, os.Rename(dir+"/name", dir+"/b/f"))
		settle(t, r, n)
		d.wants("movedfrom|movedto b/f was name")
		// One directory replaces another.
		do(t, os.Mkdir(dir+"/e1", 0o700))
		do(t, os.Mkdir(dir+"/e2", 0o700))
		settle(t, r, n)
		do(t, unix.Rename(dir+"/e1", dir+"/e2"))
		touch(t, dir+"/e2/f")
		settle(t, r, n)
		d.wants("create|isdir e1", "create|isdir e2", "movedfrom|movedto|isdir e2 was e1", "create e2/f")
		do(t, os.Rename(dir, out+"/root"))
		settle(t, r, n)
		d.wants("moveself ")
		if n.Watches() != 0 {
			t.Errorf("%d watches left", n.Watches())
		}
	})
}

// INOT-5: when a path is deleted or its file system is unmounted, its watch is removed, and only that.
func TestRootGoes(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs privileges")
	}
	// The thread ends with the test, and its mounts with it.
	runtime.LockOSThread()
	do(t, unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS))
	do(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	for name, w := range testworld.Native() {
		r := w.New(t, reactor.Config{})
		dir := t.TempDir()
		for _, p := range []string{"stays", "goes", "mounted", "stays/mounted"} {
			do(t, os.Mkdir(dir+"/"+p, 0o700))
		}
		for _, p := range []string{"mounted", "stays/mounted"} {
			do(t, unix.Mount("none", dir+"/"+p, "tmpfs", 0, ""))
		}
		n := newTestNotifier(t, r)
		_, stays := recursive(t, r, n, dir+"/stays")
		_, goes := recursive(t, r, n, dir+"/goes")
		_, mounted := recursive(t, r, n, dir+"/mounted")
		do(t, os.Remove(dir+"/goes"))
		for _, p := range []string{"mounted", "stays/mounted"} {
			do(t, unix.Unmount(dir+"/"+p, 0))
		}
		settle(t, r, n)
		goes.wants("deleteself ")
		mounted.wants("unmount|isdir ")
		stays.wants("unmount|isdir mounted")
		touch(t, dir+"/stays/f", dir+"/stays/mounted/f")
		settle(t, r, n)
		stays.wants("create f", "create mounted/f")
		if n.Watches() != 2 || !n.Open() {
			t.Errorf("%s: INOT-5: %d watches left, want 2", name, n.Watches())
		}
	}
}

// What was lost is told, and then everything that is there.
func TestOverflow(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		dir := t.TempDir()
		do(t, os.MkdirAll(dir+"/a/gone", 0o700))
		touch(t, dir+"/a/kept", dir+"/a/lost")
		n := newTestNotifier(t, r)
		_, d := recursive(t, r, n, dir)
		other := t.TempDir()
		flat := &diary{t: t, dir: other}
		_, err := n.Add(other, device.WatchConfig{Mask: device.Create}, flat.event)
		do(t, err)
		short := &diary{t: t, dir: other}
		touch(t, other+"/file")
		_, err = n.Add(other+"/file", device.WatchConfig{Mask: device.Modify}, short.event)
		do(t, err)
		limit := device.LimitOf("fs.inotify.max_queued_events")
		if limit == 0 || limit > 1<<20 {
			t.Skip("the queue is too long to fill")
		}
		for i := range limit/2 + 10 {
			f := fmt.Sprint(dir, "/a/", i%100)
			touch(t, f)
			do(t, os.Remove(f))
		}
		do(t, os.Remove(dir+"/a/lost"))
		do(t, os.Remove(dir+"/a/gone"))
		do(t, os.MkdirAll(dir+"/new/deep", 0o700))
		touch(t, dir+"/new/deep/f")
		testworld.Until(t, func() bool { return d.ready == 2 }, r)
		settle(t, r, n)
		i := slices.Index(d.lines, "overflow ")
		if i < limit/2 {
			t.Fatalf("overflow after %d events, the queue has %d", i, limit)
		}
		d.lines = d.lines[i+1:]
		slices.Sort(d.lines)
		d.wants("create a/kept scanned", "create new/deep/f scanned", "create|isdir a scanned", "create|isdir new scanned", "create|isdir new/deep scanned")
		flat.wants("create file", "overflow ", "create file scanned")
		short.wants("overflow file")
		touch(t, dir+"/new/deep/g")
		settle(t, r, n)
		d.wants("create new/deep/g")
		if n.Watches() != 6 {
			t.Errorf("%d watches, want 6: a, new, new/deep, the two others and the root", n.Watches())
		}
	})
}

// INOT-7: a failure to begin is an error, and the limits are named. At the loss the descriptor is closed once.
func TestFailures(t *testing.T) {
	for _, w := range testworld.Native() {
		r := w.New(t, reactor.Config{})
		sys := device.SystemInotify()
		sys.Init = func() (int, error) { return -1, unix.EMFILE }
		_, err := device.NewNotifierOn(r, device.NotifierConfig{}, sys)
		if e, ok := errors.AsType[*device.LimitError](err); !ok || e.Setting != "fs.inotify.max_user_instances" || !errors.Is(err, device.ErrLimit) || !errors.Is(err, kernel.ErrTooManyFiles) {
			t.Errorf("INOT-7: %v", err)
		}
		sys.Init = func() (int, error) { return -1, unix.ENOMEM }
		if _, err := device.NewNotifierOn(r, device.NotifierConfig{}, sys); !errors.Is(err, kernel.ErrNoResources) {
			t.Errorf("INOT-7: %v", err)
		}

		sys = device.SystemInotify()
		full, broken, closed := false, false, 0
		add, read, shut := sys.Add, sys.Read, sys.Close
		sys.Add = func(fd int, path string, mask uint32) (int32, error) {
			if full {
				return -1, unix.ENOSPC
			}
			return add(fd, path, mask)
		}
		sys.Read = func(fd int, p []byte) (int, error) {
			if broken {
				return -1, unix.EIO
			}
			return read(fd, p)
		}
		sys.Close = func(fd int) error {
			closed++
			_ = shut(fd)
			return unix.EIO // only of interest to nobody
		}
		var lost []error
		n, err := device.NewNotifierOn(r, device.NotifierConfig{Lost: func(err error) { lost = append(lost, err) }}, sys)
		do(t, err)
		dir := t.TempDir()
		_, d := recursive(t, r, n, dir)
		full = true
		_, err = n.Add(t.TempDir(), device.WatchConfig{}, d.event)
		e, ok := errors.AsType[*device.LimitError](err)
		if !ok || e.Limit <= 0 || !errors.Is(err, device.ErrLimit) || !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "fs.inotify.max_user_watches") {
			t.Errorf("a full table: %v", err)
		}
		do(t, os.Mkdir(dir+"/unwatched", 0o700))
		settle(t, r, n)
		if len(d.lines) != 2 || !strings.HasPrefix(d.lines[0], "0 unwatched watch ") || d.lines[1] != "create|isdir unwatched" {
			t.Errorf("told %q", d.lines)
		}
		broken = true
		touch(t, dir+"/f")
		testworld.Until(t, func() bool { return len(lost) > 0 }, r)
		n.Close()
		if closed != 1 || len(lost) != 1 || !errors.Is(lost[0], unix.EIO) {
			t.Errorf("INOT-7: closed %d times, lost %v", closed, lost)
		}
		if _, err := n.Add(dir, device.WatchConfig{}, d.event); err != reactor.ErrClosed {
			t.Errorf("Add after the end: %v", err)
		}

		lost = nil
		var paused []error
		n, err = device.NewNotifierOn(r, device.NotifierConfig{Lost: func(err error) { lost = append(lost, err) }}, device.SystemInotify())
		do(t, err)
		p, err := device.NewNotifierOn(r, device.NotifierConfig{Lost: func(err error) { paused = append(paused, err) }}, device.SystemInotify())
		do(t, err)
		p.PauseProducing()
		r.Close()
		if len(lost) != 1 || lost[0] != reactor.ErrStopped || n.Open() {
			t.Errorf("INOT-7: at the end of the reactor: lost %v", lost)
		}
		if len(paused) != 1 || paused[0] != reactor.ErrStopped || p.Open() {
			t.Errorf("INOT-7: at the end of the reactor a paused one: lost %v", paused)
		}
	}
}

// A process that has no descriptor left hears of that, and of no limit of inotify.
func TestNoDescriptorLeft(t *testing.T) {
	var r *reactor.Reactor
	for _, w := range testworld.Native() { // no kernel has a part in it
		r = w.New(t, reactor.Config{})
	}
	lowest, err := unix.Dup(0)
	do(t, err)
	do(t, unix.Close(lowest))
	var was unix.Rlimit
	do(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	do(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(lowest), Max: was.Max}))
	_, err = device.NewNotifier(r, device.NotifierConfig{})
	do(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was))
	if !errors.Is(err, kernel.ErrTooManyFiles) || errors.Is(err, device.ErrLimit) {
		t.Errorf("INOT-7: %v", err)
	}
}

// INOT-5: a file that is removed, or replaced, is told as such while somebody has it open, once. A file that was moved lives on.
func TestOpenFileGoes(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		dir := t.TempDir()
		n := newTestNotifier(t, r)
		for what, change := range map[string]func(path string) error{
			"removed": os.Remove, "replaced": func(path string) error { return os.Rename(dir+"/other", path) },
		} {
			path := dir + "/" + what
			touch(t, path, dir+"/other")
			do(t, os.Symlink(what, path+"link"))
			f, err := os.Open(path)
			do(t, err)
			d, link := &diary{t: t, dir: path}, &diary{t: t, dir: path + "link"}
			w, err := n.Add(path, device.WatchConfig{Mask: device.Modify}, d.event)
			do(t, err)
			_, err = n.Add(path+"link", device.WatchConfig{Mask: device.Modify}, link.event)
			do(t, err)
			do(t, os.Chmod(path, 0o400))
			settle(t, r, n)
			d.wants()
			do(t, change(path))
			settle(t, r, n)
			d.wants("deleteself ")
			link.wants("deleteself ")
			if w.Active() || n.Watches() != 0 {
				t.Errorf("%s: INOT-5: the watch is still there", what)
			}
			do(t, f.Close())
			settle(t, r, n)
			d.wants()
		}
		path := dir + "/moved"
		touch(t, path)
		d := &diary{t: t, dir: path}
		w, err := n.Add(path, device.WatchConfig{Mask: device.Attrib}, d.event)
		do(t, err)
		do(t, os.Rename(path, path+"2"))
		do(t, os.Chmod(path+"2", 0o400))
		settle(t, r, n)
		d.wants("attrib ")
		if !w.Active() {
			t.Error("the watch of a file that was moved is over")
		}
	})
}

// INOT-8: a panic in a callback is logged, and watching goes on with the next event.
func TestCallbackPanics(t *testing.T) {
	for _, w := range testworld.Native() {
		panics := 0
		r := w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) {
			if panics++; e.In != "inotify" || e.Value != "oh" {
				t.Error(e)
			}
		}})
		dir := t.TempDir()
		n := newTestNotifier(t, r)
		d := &diary{t: t, dir: dir}
		_, err := n.Add(dir, device.WatchConfig{Mask: device.Create}, func(e device.Event) {
			d.event(e)
			if panics == 0 {
				panic("oh")
			}
		})
		do(t, err)
		touch(t, dir+"/1", dir+"/2")
		settle(t, r, n)
		d.wants("create 1", "create 2") // INOT-8
		if panics != 1 {
			t.Errorf("INOT-8: %d panics reported", panics)
		}
	}
}

// A callback may end its watch, another one and the whole Notifier.
func TestEndInCallback(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		for _, how := range []string{"close", "remove", "notifier"} {
			dir := t.TempDir()
			do(t, os.MkdirAll(dir+"/a/b", 0o700))
			n := newTestNotifier(t, r)
			calls, w := 0, (*device.Watch)(nil)
			end := func(device.Event) {
				calls++
				switch how {
				case "close":
					w.Close()
				case "remove":
					do(t, n.Remove(dir))
				case "notifier":
					n.Close()
				}
			}
			var err error
			w, err = n.Add(dir, device.WatchConfig{Recursive: true}, end)
			do(t, err)
			do(t, os.MkdirAll(dir+"/x/y", 0o700))
			touch(t, dir+"/x/y/f", dir+"/g")
			settle(t, r, n)
			if calls != 1 || w.Active() || n.Watches() != 0 {
				t.Errorf("%s: called %d times, %d watches left", how, calls, n.Watches())
			}
		}
	})
}

// A turn lists a bounded number of names, so that others have theirs.
func TestListingIsBounded(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		dir := t.TempDir()
		do(t, os.Mkdir(dir+"/big", 0o700))
		const names = 3*device.ScanBudget + 1
		for i := range names {
			touch(t, fmt.Sprint(dir, "/big/", i))
		}
		n := newTestNotifier(t, r)
		in := t.TempDir()
		_, d := recursive(t, r, n, in)
		do(t, os.Rename(dir+"/big", in+"/big"))
		most, before := 0, 0
		testworld.Until(t, func() bool {
			most, before = max(most, len(d.lines)-before), len(d.lines)
			return len(d.lines) == names+1
		}, r)
		if most > device.ScanBudget+64 {
			t.Errorf("%d names in one turn", most)
		}
		do(t, os.Rename(in+"/big", dir+"/big"))
		r.CallLater(time.Millisecond, func() {}) // so that the last turn ends
		settle(t, r, n)
	})
}

// A Notifier that is paused tells nothing, and everything when it goes on.
func TestNotifierPaused(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		dir := t.TempDir()
		n := newTestNotifier(t, r)
		_, d := recursive(t, r, n, dir)
		do(t, os.Mkdir(dir+"/a", 0o700))
		for len(d.lines) == 0 {
			do(t, n.Pull())
		}
		n.PauseProducing() // before the list of a
		n.PauseProducing()
		touch(t, dir+"/a/f", dir+"/g")
		testworld.Turns(t, r, 5)
		d.wants("create|isdir a")
		n.ResumeProducing()
		n.ResumeProducing()
		settle(t, r, n)
		slices.Sort(d.lines)
		if len(d.lines) != 2 || !strings.HasPrefix(d.lines[0], "create a/f") || d.lines[1] != "create g" {
			t.Errorf("told %q", d.lines)
		}
		n.PauseProducing()
		n.Close()
		n.ResumeProducing()
	})
}
