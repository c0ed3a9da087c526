// Load fills the chat of examples/websocket with silent users, and says what they cost the server: memory, the time until all of them have
// heard a line, and the processor time for pings. The server must run with -quiet. README.md beside it has the commands.
//
// The users are in processes of their own, each below the limit of descriptors, and each with an address of its own in 127.0.0.0/8, because
// an address has only some 28,000 ports.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	server := flag.String("server", "127.0.0.1:8009", "the server")
	n := flag.Int("n", 100_000, "how many users")
	most := flag.Int("most", 15_000, "how many users a process has")
	hold := flag.Duration("hold", time.Minute, "how long to look at the processor time while nobody speaks")
	child := flag.Int("child", -1, "for the processes of users alone: which one it is")
	flag.Parse()
	if *child >= 0 {
		crowd(*server, *child, *n)
		return
	}
	if err := measure(*server, *n, *most, *hold); err != nil {
		log.Fatal(err)
	}
}

// measure fills the room, and prints what it costs.
func measure(server string, n, most int, hold time.Duration) error {
	before, err := stats(server)
	if err != nil {
		return err
	}
	var crowds []*bufio.Reader
	begin := time.Now()
	for first := 0; first < n; first += most {
		out, end, err := start(server, len(crowds), min(most, n-first))
		if err != nil {
			return err
		}
		defer end()
		crowds = append(crowds, out)
	}
	if err := all(crowds, "up"); err != nil {
		return err
	}
	after, err := stats(server)
	for ; err == nil && after["users"] < int64(n); after, err = stats(server) {
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	fmt.Printf("%d users are in the room after %v\n", after["users"], time.Since(begin).Round(time.Second))
	for _, what := range []string{"heap", "stacks", "rss"} {
		fmt.Printf("%-8s %8d KB, %6.0f bytes for each user\n", what, after[what]>>10, float64(after[what]-before[what])/float64(n))
	}
	fmt.Printf("goroutines %d\n", after["goroutines"])
	if err := broadcast(server, crowds, n); err != nil {
		return err
	}
	was, err := stats(server)
	if err != nil {
		return err
	}
	time.Sleep(hold)
	now, err := stats(server)
	if err != nil {
		return err
	}
	fmt.Printf("processor time in %v of silence: %d ms\n", hold, now["cpu_ms"]-was["cpu_ms"])
	return nil
}

// broadcast says some lines, and prints how long it takes until all have heard each.
func broadcast(server string, crowds []*bufio.Reader, n int) error {
	c, err := net.Dial("tcp", server)
	if err != nil {
		return err
	}
	defer c.Close()
	go io.Copy(io.Discard, c) // the speaker hears its lines too
	fmt.Fprint(c, request(server), frame("speaker\n"))
	for range 5 {
		time.Sleep(time.Second)
		was, err := stats(server)
		if err != nil {
			return err
		}
		begin := time.Now()
		fmt.Fprint(c, frame("hello\n"))
		if err := all(crowds, "heard"); err != nil {
			return err
		}
		took := time.Since(begin)
		now, err := stats(server)
		if err != nil {
			return err
		}
		fmt.Printf("a line to %d users: %v, processor time of the server %d ms\n", n, took.Round(time.Millisecond), now["cpu_ms"]-was["cpu_ms"])
	}
	return nil
}

// start starts a process of n users. end ends it.
func start(server string, which, n int) (out *bufio.Reader, end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self, "-server", server, "-n", fmt.Sprint(n), "-child", fmt.Sprint(which))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // the process ends with it
	if err != nil {
		return nil, nil, err
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return bufio.NewReader(pipe), func() { _, _ = in.Close(), cmd.Wait() }, cmd.Start()
}

// all waits until each crowd has said word.
func all(crowds []*bufio.Reader, word string) error {
	for i, out := range crowds {
		line, err := out.ReadString('\n')
		if err != nil || strings.TrimSpace(line) != word {
			return fmt.Errorf("process %d said %q instead of %q: %v", i, line, word, err)
		}
	}
	return nil
}

// stats are the numbers of the server.
func stats(server string) (map[string]int64, error) {
	answer, err := http.Get("http://" + server + "/stats")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	m := make(map[string]int64)
	words := strings.Fields(string(text))
	for i := 0; i+1 < len(words); i += 2 {
		var v int64
		if _, err := fmt.Sscan(words[i+1], &v); err != nil {
			return nil, fmt.Errorf("the stats are %q: %w", text, err)
		}
		m[words[i]] = v
	}
	return m, nil
}
