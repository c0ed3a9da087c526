package simmain

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A file is written whole or not at all, and a link to it stays one.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "page"), filepath.Join(dir, "link")
	write := func(text string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			io.WriteString(w, text)
			return err
		}
	}
	check := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(name); string(got) != want || err != nil {
			t.Errorf("it has %q, %v; want %q", got, err, want)
		}
		if list, _ := filepath.Glob(name + "*"); len(list) != 1 {
			t.Errorf("there are %q", list)
		}
	}
	if err := writeFile(name, write("one", nil)); err != nil {
		t.Fatal(err)
	}
	check("one")
	broken := errors.New("broken")
	if err := writeFile(name, write("two", broken)); err != broken {
		t.Errorf("failed with %v", err)
	}
	check("one")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(link, write("three", nil)); err != nil {
		t.Fatal(err)
	}
	check("three")
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is gone")
	}
}

// What is no ordinary file is written to, and stays what it is.
func TestWriteFilePipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if out, err := exec.Command("mkfifo", name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	reader := exec.Command("cat", name)
	var got bytes.Buffer
	reader.Stdout = &got
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	defer reader.Process.Kill()
	err := writeFile(name, func(w io.Writer) error {
		_, err := io.WriteString(w, "page")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Lstat(name); err != nil || st.Mode()&os.ModeNamedPipe == 0 {
		t.Fatal("it is a pipe no more")
	}
	if err := reader.Wait(); err != nil || got.String() != "page" {
		t.Errorf("the reader got %q, %v", got.String(), err)
	}
}

// A failure that does not leave room on the disk is said, whoever runs it.
func TestFillFull(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no device that is always full")
	}
	err = fill(f, func(w io.Writer) error {
		_, err := io.WriteString(w, "page")
		return err
	})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk is %v", err)
	}
}
