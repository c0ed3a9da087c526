package interop

import (
	"io"
	"log"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/testworld"
)

// load is a server of net/http and a program that asks it for as much as it can.
type load struct {
	name    string
	serve   serving
	command string // the URL follows
	scheme  string
	good    string // matches the output if there was no error
	parks   bool   // connections wait on the loop between requests
}

// Wrk has a line between these two for errors, and another for answers that are errors. H2load counts them.
const (
	wrkGood = ` [1-9]\d* requests in .*\nRequests/sec`
	h2Good  = `(?s)4000 succeeded, 0 failed, 0 errored, 0 timeout\n.*status codes: 4000 2xx,`
)

var loads = []load{
	{"keep-alive", plain, "wrk -t1 -c50 -d1", "http", wrkGood, false},
	{"keep-alive with TLS", tlsBelow, "wrk -t1 -c50 -d1", "https", wrkGood, false},
	{"pauses between requests", idling, "wrk -t1 -c50 -d1 -s pause.lua", "http", wrkGood, true},
	{"IdleListener with TLS", idlingTLS, "h2load --h1 -c20 -n4000", "https", h2Good, false},
	{"HTTP 2 in clear", unencrypted, "h2load -c10 -m20 -n4000", "http", h2Good, false},
	{"HTTP 2 with TLS", tlsAbove, "h2load -c10 -m20 -n4000", "https", h2Good, false},
}

// pause is pause.lua, a script for wrk: milliseconds between an answer and the next request.
const pause = "function delay() return 5 end"

// NETCONN-21: net/http answers all requests of wrk and h2load: HTTP/1.1 and HTTP/2, with TLS and without, and with connections that wait on the loop.
func TestLoad(t *testing.T) {
	for _, x := range loads {
		t.Run(x.name, func(t *testing.T) {
			command := strings.Fields(x.command)
			program, err := exec.LookPath(command[0])
			if err != nil {
				t.Skip(err)
			}
			cfg, _ := configs(t)
			dir := t.TempDir()
			tlstest.WriteFile(t, dir, "pause.lua", []byte(pause))
			each(t, testworld.Native(), func(t *testing.T, s *site) {
				var complaints strings.Builder
				srv := &http.Server{Handler: http.HandlerFunc(answer), ErrorLog: log.New(&complaints, "", 0)}
				url := x.scheme + "://" + x.serve(s, srv, cfg).Addr().String()
				cmd := exec.CommandContext(limited(t), program, append(command[1:len(command):len(command)], url)...)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				if err != nil || !regexp.MustCompile(x.good).Match(out) {
					t.Errorf("%v: %s", err, out)
				}
				_ = srv.Shutdown(limited(t))
				if complaints.Len() > 0 {
					t.Errorf("net/http complains: %s", &complaints)
				}
				if x.parks { // how many requests there are in a second is the machine's
					var requests int
					if m := regexp.MustCompile(`(\d+) requests in`).FindSubmatch(out); m != nil {
						requests, _ = strconv.Atoi(string(m[1]))
					}
					if n := s.handed.Load(); requests == 0 || int(n) < requests/8 {
						t.Errorf("connections waited on the loop only %d times between %d requests", n, requests)
					}
				}
			})
		})
	}
}

// answer is a small page.
func answer(w http.ResponseWriter, q *http.Request) {
	_, _ = io.WriteString(w, "hello "+q.URL.Path)
}
