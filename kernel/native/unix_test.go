//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// openFirst opens the default kernel.
func openFirst(t *testing.T) kernel.Kernel {
	t.Helper()
	k, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func listenAt(t *testing.T, k kernel.Kernel, path string, o kernel.UNIXOptions) (kernel.Listener, error) {
	t.Helper()
	l, err := k.Listen(kernel.UNIXAddr(path), &kernel.ListenOptions{UNIX: o})
	if err == nil {
		t.Cleanup(func() { l.Close() })
	}
	return l, err
}

// UNIX-1: the file has exactly the mode that was asked for, 0666 without one, whatever the umask.
func TestUNIXMode(t *testing.T) {
	k := openFirst(t)
	testModes(t, func(path string, mode fs.FileMode) (kernel.Handle, error) {
		return listenAt(t, k, path, kernel.UNIXOptions{Mode: mode})
	})
}

// testModes opens socket files with several modes under several umasks, and looks at them.
func testModes(t *testing.T, open func(path string, mode fs.FileMode) (kernel.Handle, error)) {
	t.Helper()
	for _, umask := range []int{0, 0o022, 0o777} {
		old := unix.Umask(umask)
		for _, mode := range []fs.FileMode{0, 0o600, 0o660, 0o777, 0o001} {
			path := filepath.Join(t.TempDir(), "s")
			h, err := open(path, mode)
			if err != nil {
				t.Error(err)
				continue
			}
			st, err := os.Stat(path)
			want := mode
			if want == 0 {
				want = 0o666
			}
			if err != nil || st.Mode() != want|fs.ModeSocket {
				t.Errorf("umask %#o, mode %#o: the file has %v, %v", umask, mode, st.Mode(), err)
			}
			h.Close()
		}
		unix.Umask(old)
	}
}

// The file belongs to whom the options say, by name or by number. Who does not exist is an error,
// and leaves no file.
func TestUNIXOwner(t *testing.T) {
	k := openFirst(t)
	me, err := user.Current()
	if err != nil {
		t.Skip(err)
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		t.Skip(err)
	}
	uid, gid := me.Uid, me.Gid
	if os.Getuid() == 0 {
		uid, gid = "12345", "23456"
	}
	for _, c := range []struct{ owner, group, uid, gid string }{
		{me.Username, group.Name, me.Uid, me.Gid}, {uid, gid, uid, gid}, {"", gid, me.Uid, gid}, {uid, "", uid, me.Gid},
	} {
		path := filepath.Join(t.TempDir(), "s")
		if _, err := listenAt(t, k, path, kernel.UNIXOptions{Owner: c.owner, Group: c.group}); err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || strconv.Itoa(int(st.Uid)) != c.uid || strconv.Itoa(int(st.Gid)) != c.gid {
			t.Errorf("%+v: the file is %d's, group %d, %v", c, st.Uid, st.Gid, err)
		}
	}
	for _, o := range []kernel.UNIXOptions{{Owner: "nobody-of-that-name"}, {Group: "no-such-group"}, {Owner: "-1"}} {
		path := filepath.Join(t.TempDir(), "s")
		_, err := listenAt(t, k, path, o)
		if _, ok := errors.AsType[*kernel.OptionError](err); !ok {
			t.Errorf("%+v: %v", o, err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v: a file is left: %v", o, err)
		}
	}
}

// deadPID is the number of a process that has ended.
func deadPID(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(cmd.Process.Pid)
}

// leave makes the socket file that a dead process has left at path, and its lock file.
func leave(t *testing.T, path, pid string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), os.Symlink(pid, path+".lock")); err != nil {
		t.Fatal(err)
	}
}

// A lock file exists as long as the listener, and says whose it is (UNIX-8). One of a dead process
// is taken over, with the socket file that was left (UNIX-10); one of a live process is not
// touched (UNIX-9). A file that is no socket is never removed.
func TestUNIXTakeover(t *testing.T) {
	k := openFirst(t)
	path := filepath.Join(t.TempDir(), "s")
	lock := kernel.UNIXOptions{Lock: true}
	leave(t, path, deadPID(t))
	if _, err := listenAt(t, k, path, kernel.UNIXOptions{}); !errors.Is(err, kernel.ErrAddrInUse) {
		t.Errorf("UNIX-3: without a lock: %v", err)
	}
	l, err := listenAt(t, k, path, lock)
	if err != nil {
		t.Fatalf("UNIX-10: %v", err)
	}
	if to, err := os.Readlink(path + ".lock"); to != strconv.Itoa(os.Getpid()) {
		t.Errorf("UNIX-8: the link is to %q, %v", to, err)
	}
	c, err := k.Dial(kernel.UNIXAddr(path), &kernel.DialOptions{CheckLock: true})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	l.Close()
	if left, _ := filepath.Glob(path + "*"); len(left) != 0 {
		t.Errorf("UNIX-6, UNIX-8: left behind: %q", left)
	}

	leave(t, path, strconv.Itoa(os.Getppid()))
	if _, err := listenAt(t, k, path, lock); !errors.Is(err, kernel.ErrLocked) {
		t.Errorf("UNIX-9: %v", err)
	}
	if left, _ := filepath.Glob(path + "*"); len(left) != 2 {
		t.Errorf("UNIX-9: there are %q", left)
	}

	plain := filepath.Join(t.TempDir(), "plain")
	os.WriteFile(plain, []byte("precious"), 0o600)
	os.Symlink(deadPID(t), plain+".lock")
	if _, err := listenAt(t, k, plain, lock); !errors.Is(err, kernel.ErrAddrInUse) {
		t.Errorf("a plain file: %v", err)
	}
	if got, err := os.ReadFile(plain); string(got) != "precious" {
		t.Errorf("a plain file is lost: %v", err)
	}
	if _, err := os.Lstat(plain + ".lock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a failed Listen has left its lock: %v", err)
	}
}

// At its end a listener removes the file only if that is still its own, and nothing is wrong if
// somebody else has removed it (UNIX-7). A change of the working directory changes nothing.
func TestUNIXOthersFile(t *testing.T) {
	k := openFirst(t)
	dir := t.TempDir()
	t.Chdir(dir)
	l, err := listenAt(t, k, "s", kernel.UNIXOptions{Lock: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if l.Close(); len(glob(dir)) != 0 {
		t.Errorf("in another directory: left behind: %q", glob(dir))
	}
	t.Chdir(dir)

	gone, err := listenAt(t, k, "gone", kernel.UNIXOptions{})
	if err != nil {
		t.Fatal(err)
	}
	os.Remove("gone")
	if err := gone.Close(); err != nil {
		t.Errorf("UNIX-7: %v", err)
	}

	old, err := listenAt(t, k, "moved", kernel.UNIXOptions{})
	if err != nil {
		t.Fatal(err)
	}
	os.Rename("moved", "old")
	successor, err := listenAt(t, k, "moved", kernel.UNIXOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if old.Close(); len(glob(dir)) != 2 {
		t.Errorf("another's file was removed: there are %q", glob(dir))
	}
	if successor.Close(); len(glob(dir)) != 1 {
		t.Errorf("its own file was not removed: there are %q", glob(dir))
	}
}

func glob(dir string) []string {
	all, _ := filepath.Glob(filepath.Join(dir, "*"))
	return all
}

// A path that the system does not let us use is what the system says.
func TestUNIXSystemErrors(t *testing.T) {
	k := openFirst(t)
	dir := t.TempDir()
	if _, err := listenAt(t, k, filepath.Join(dir, "none", "s"), kernel.UNIXOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such directory: %v", err)
	}
	if _, err := listenAt(t, k, filepath.Join(dir, "none", "s"), kernel.UNIXOptions{Lock: true}); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "lock file ") {
		t.Errorf("no such directory, for the lock file: %v", err)
	}
	if _, err := os.Stat("/sys/kernel"); err == nil { // where nobody makes a file
		if _, err := listenAt(t, k, "/sys/kernel/s", kernel.UNIXOptions{Lock: true}); !errors.Is(err, kernel.ErrPermission) {
			t.Errorf("no permission, for the lock file: %v", err)
		}
	}
	os.WriteFile(filepath.Join(dir, "plain"), nil, 0o600)
	if _, err := k.Dial(kernel.UNIXAddr(filepath.Join(dir, "plain")), nil); !errors.Is(err, kernel.ErrRefused) {
		t.Errorf("dialling a plain file: %v", err)
	}
	os.Symlink("nobody", filepath.Join(dir, "s.lock"))
	if _, err := listenAt(t, k, filepath.Join(dir, "s"), kernel.UNIXOptions{Lock: true}); err == nil || errors.Is(err, kernel.ErrLocked) {
		t.Errorf("a broken lock file: %v", err)
	}
	if _, err := k.Dial(kernel.UNIXAddr(filepath.Join(dir, "s")), &kernel.DialOptions{CheckLock: true}); err == nil || errors.Is(err, kernel.ErrNotLocked) {
		t.Errorf("dialling with a broken lock file: %v", err)
	}
}

// A path is the system's: ".." behind a symbolic link is the directory above its target. So the
// listener's own files are protected and removed, and nobody else's (UNIX-1, UNIX-6).
func TestUNIXPathIsNotCleaned(t *testing.T) {
	k := openFirst(t)
	dir := t.TempDir()
	for _, d := range []string{"cwd", "other/sub"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(dir, "cwd"))
	os.Symlink("../other/sub", "link")
	theirs, err := listenAt(t, k, "s", kernel.UNIXOptions{Mode: 0o600})
	if err != nil {
		t.Fatal(err)
	}
	ours, err := listenAt(t, k, "link/../s", kernel.UNIXOptions{Mode: 0o660, Lock: true})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{"cwd/s": 0o600, "other/s": 0o660} {
		if st, err := os.Stat(filepath.Join(dir, path)); err != nil || st.Mode().Perm() != want {
			t.Errorf("UNIX-1: %s: %v, %v", path, st, err)
		}
	}
	ours.Close()
	if left := glob(filepath.Join(dir, "other")); len(left) != 1 {
		t.Errorf("UNIX-6: left behind: %q", left)
	}
	if _, err := os.Lstat(filepath.Join(dir, "cwd/s")); err != nil {
		t.Errorf("another's file was removed: %v", err)
	}
	theirs.Close()
}

// Whoever puts another file in the socket's place, before its permissions are set, has nothing
// changed of it.
func TestUNIXReplacedFile(t *testing.T) {
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "s")
	os.WriteFile(victim, nil, 0o600)
	for what, replace := range map[string]func() error{
		"a link": func() error { return os.Symlink(victim, path) },
		"a file": func() error { return os.WriteFile(path, nil, 0o600) },
		"another socket": func() error {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), os.Chmod(path, 0o600))
		},
		"nothing": func() error { return nil },
	} {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		var f unixFile
		if err := f.bind(fd, path); err != nil {
			t.Fatal(err)
		}
		os.Rename(path, path+".moved")
		if err := replace(); err != nil {
			t.Fatal(err)
		}
		if err := f.protect(0o666, -1, -1); err == nil {
			t.Errorf("%s: no error", what)
		}
		for _, at := range []string{victim, path} {
			if st, err := os.Lstat(at); err == nil && st.Mode()&fs.ModeSymlink == 0 && st.Mode().Perm() != 0o600 {
				t.Errorf("%s: %s has mode %v", what, at, st.Mode())
			}
		}
		os.Remove(path)
		os.Remove(path + ".moved")
	}
}

// A socket at which somebody listens is not taken over, whatever its lock file says: the process may
// be in another container, or have no lock file. One at which nobody listens is, also if the lock was
// given up before, or has our own number from an earlier run (UNIX-9, UNIX-10).
func TestUNIXTakeoverAsksTheSocket(t *testing.T) {
	k := openFirst(t)
	lock := kernel.UNIXOptions{Lock: true}
	path := filepath.Join(t.TempDir(), "s")
	live, err := listenAt(t, k, path, kernel.UNIXOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenAt(t, k, path, lock); !errors.Is(err, kernel.ErrAddrInUse) {
		t.Errorf("UNIX-3: in use, without a lock file: %v", err)
	}
	os.Symlink(deadPID(t), path+".lock")
	if _, err := listenAt(t, k, path, lock); !errors.Is(err, kernel.ErrAddrInUse) {
		t.Errorf("UNIX-9: in use, with the lock of a dead process: %v", err)
	}
	if _, ok := socketAt(path); !ok {
		t.Fatal("the file of a listener was removed")
	}
	live.Close()
	os.Remove(path + ".lock")

	leave(t, path, deadPID(t))
	os.Remove(path + ".lock") // it was killed when it had given up its lock
	l, err := listenAt(t, k, path, lock)
	if err != nil {
		t.Fatalf("UNIX-10: left without a lock: %v", err)
	}
	l.Close()

	leave(t, path, strconv.Itoa(os.Getpid()))
	long := []unix.Timespec{{Sec: 1}, {Sec: 1}}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path+".lock", long, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAt(t, k, path, lock); err != nil {
		t.Errorf("UNIX-10: left by a process with our number: %v", err)
	}
}

// The lock file of a successor in the same process is not removed (UNIX-8).
func TestUNIXSuccessorsLock(t *testing.T) {
	k := openFirst(t)
	path := filepath.Join(t.TempDir(), "s")
	first, err := listenAt(t, k, path, kernel.UNIXOptions{Lock: true})
	if err != nil {
		t.Fatal(err)
	}
	os.Rename(path, path+".old")
	os.Rename(path+".lock", path+".lock.old")
	if _, err := listenAt(t, k, path, kernel.UNIXOptions{Lock: true}); err != nil {
		t.Fatal(err)
	}
	first.Close()
	for _, at := range []string{path, path + ".lock"} {
		if _, err := os.Lstat(at); err != nil {
			t.Errorf("UNIX-8: the successor's: %v", err)
		}
	}
}

// An abstract name needs no working directory.
func TestUNIXAbstractWithoutDirectory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a system without abstract names")
	}
	k := openFirst(t)
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone")
	os.Mkdir(gone, 0o700)
	t.Chdir(gone)
	os.Remove(gone)
	if _, err := listenAt(t, k, "@"+dir, kernel.UNIXOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := listenAt(t, k, "s", kernel.UNIXOptions{}); err == nil {
		t.Error("listening in a directory that is gone")
	}
}
