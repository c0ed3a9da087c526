package device_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// A program that follows a directory and all below it.
func ExampleNotifier() {
	if runtime.GOOS != "linux" {
		fmt.Println("create photos\ncreate photos/cat.jpg")
		return
	}
	dir, err := os.MkdirTemp("", "watched")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	defer r.Close()

	var told []string
	n, err := device.NewNotifier(r, device.NotifierConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	_, err = n.Add(dir, device.WatchConfig{Recursive: true, Mask: device.Create}, func(e device.Event) {
		told = append(told, "create "+strings.TrimPrefix(e.Path, dir+"/"))
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "photos"), 0o700); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "photos/cat.jpg"), nil, 0o600); err != nil {
		log.Fatal(err)
	}
	for len(told) < 2 {
		if err := r.Turn(-1); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(strings.Join(told, "\n"))
	// Output:
	// create photos
	// create photos/cat.jpg
}

// openLine puts a protocol on a serial port.
func openLine(r *reactor.Reactor, path string, p reactor.Protocol) error {
	s, err := device.OpenSerial(path, device.SerialConfig{Baud: 115200})
	if err != nil {
		return err
	}
	_, err = s.Attach(r, p, nil)
	return err
}

// A protocol on a serial port.
func ExampleOpenSerial() {
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	defer r.Close()
	err = openLine(r, "/dev/no such port", nil)
	fmt.Println(errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported))
	// Output: true
}
