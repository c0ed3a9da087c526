package main

import (
	"fmt"
	"math"
	"slices"
)

// result holds the samples of one workload.
type result struct {
	Workload  string
	About     string
	Unit      string
	Conns     int
	Servers   []string
	Sets      []set          `json:",omitempty"`
	Disturbed int            // how many of the sets
	Idle      []idleSample   `json:",omitempty"`
	Sim       []simSample    `json:",omitempty"`
	Workers   map[string]int `json:",omitempty"` // how many compute handshakes, by server
	Failed    []failure      `json:",omitempty"`
}

// set holds the samples of one slice of each server, by the server's label.
type set map[string]sample

// sample is the result of one slice.
type sample struct {
	PerCPU    float64 // messages per second of server CPU
	PerSecond float64
	P50, P99  float64 // microseconds
	CPUShare  float64 // server CPU seconds per second
	Stall     *stall  `json:",omitempty"` // how late the server's loop was, or nil
}

// idleSample is what one idle connection costs a server.
type idleSample struct {
	Server    string
	New, Used float64 // bytes of resident memory, before and after the first message
	Kept      float64 // the same after one message, once the runtime has given back free memory
	Heap      float64 // bytes in the Go heap after one message and a collection
	Stacks    float64 // bytes of goroutine stacks, after one message
	Accept    float64 // microseconds of CPU to accept it
}

// simSample is the result of one run of a simulated world.
type simSample struct {
	Virtual   float64 // seconds of the world's time
	Seconds   float64 // of real time
	PerSecond float64 // kernel events per second
	PerCPU    float64 // kernel events per second of CPU
	Allocs    float64 // per event
	Error     string  `json:",omitempty"`
}

// failure is a server that could not be measured.
type failure struct{ Server, Error string }

// leaveOut notes that server failed. The report then shows none of its samples.
func (r *result) leaveOut(server string, err error) {
	r.Failed = append(r.Failed, failure{server, err.Error()})
}

func (r *result) failed(server string) bool {
	return slices.ContainsFunc(r.Failed, func(f failure) bool { return f.Server == server })
}

// shown returns server as tables show it: with the number of its workers if it has any.
func (r *result) shown(server string) string {
	switch n := r.Workers[server]; n {
	case 0:
		return server
	case 1:
		return server + ", 1 worker"
	default:
		return fmt.Sprintf("%s, %d workers", server, n)
	}
}

// column returns one figure of server, from all sets that have it.
func (r *result) column(server string, figure func(sample) float64) []float64 {
	var v []float64
	for _, s := range r.Sets {
		if x, ok := s[server]; ok {
			v = append(v, figure(x))
		}
	}
	return v
}

// stalls returns one figure of how late server was, from all sets that have it.
func (r *result) stalls(server string, figure func(stall) float64) []float64 {
	var v []float64
	for _, s := range r.Sets {
		if x, ok := s[server]; ok && x.Stall != nil {
			v = append(v, figure(*x.Stall))
		}
	}
	return v
}

// ratios returns the ratio of server to reference for each set that has both. Within a
// set both ran under the same conditions.
func (r *result) ratios(server, reference string) []float64 {
	var v []float64
	for _, s := range r.Sets {
		a, okA := s[server]
		b, okB := s[reference]
		if okA && okB {
			v = append(v, a.PerCPU/b.PerCPU)
		}
	}
	return v
}

// idleColumn returns one figure of server, from all rounds.
func (r *result) idleColumn(server string, figure func(idleSample) float64) []float64 {
	var v []float64
	for _, s := range r.Idle {
		if s.Server == server {
			v = append(v, figure(s))
		}
	}
	return v
}

// quantile returns the value that a share q of v lies below. Between two values it
// interpolates. It is NaN if v is empty.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Sorted(slices.Values(v))
	at := q * float64(len(v)-1)
	low := int(at)
	high := min(low+1, len(v)-1)
	return v[low] + (v[high]-v[low])*(at-float64(low))
}

func median(v []float64) float64 { return quantile(v, .5) }
