package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// equivalents are the reasons of mutants that make no difference, by key.
type equivalents map[string]string

// readEquivalents reads the file at path. Each line has four fields with tabs between:
// file, function, change, reason. Empty lines and lines that begin with # are remarks. A
// file that does not exist is empty.
func readEquivalents(path string) (equivalents, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	known := equivalents{}
	scanner := bufio.NewScanner(f)
	for n := 1; scanner.Scan(); n++ {
		line := scanner.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 4 || fields[3] == "" {
			return nil, fmt.Errorf("%s:%d: not file, function, change and reason with tabs between", path, n)
		}
		known[strings.Join(fields[:3], "\t")] = fields[3]
	}
	return known, scanner.Err()
}

// stale lists the entries about files of p that belong to none of its mutants.
func (e equivalents) stale(p pkg, mutants []*mutant) (list []string) {
	dir, err := filepath.Rel(p.Module.Dir, p.Dir)
	if err != nil {
		return nil
	}
	have := map[string]bool{}
	for _, m := range mutants {
		have[m.key()] = true
	}
	for key := range e {
		name, _, _ := strings.Cut(key, "\t")
		if filepath.Dir(filepath.FromSlash(name)) == dir && !have[key] {
			list = append(list, key)
		}
	}
	return list
}

// outcome is a mutant that was tested.
type outcome struct {
	*mutant
	verdict
}

// examine tests mutants of p and reports on them. It puts its files into dir.
func (o options) examine(w io.Writer, p pkg, dir string, known equivalents) error {
	mutants, err := find(p)
	if err != nil {
		return err
	}
	for _, key := range known.stale(p, mutants) {
		return fmt.Errorf("%s: there is no such mutant any more: %q", o.equivalent, key)
	}
	total := len(mutants)
	draw(mutants, o.seed)
	x, err := newTester(o, p, dir)
	if err != nil {
		return err
	}
	results, err := o.sample(w, x, mutants, dir)
	if err != nil {
		return err
	}
	o.report(w, p, total, results, known)
	return nil
}

// sample tests mutants, several at a time, until n of them count. The results are in the
// order in which the mutants were drawn, and do not depend on which one ended first.
func (o options) sample(w io.Writer, x *tester, mutants []*mutant, dir string) ([]outcome, error) {
	var results []outcome
	for count := 0; len(mutants) > 0 && (o.n == 0 || count < o.n); {
		batch := mutants[:min(o.parallel, len(mutants))]
		mutants = mutants[len(batch):]
		verdicts, errs := make([]verdict, len(batch)), make([]error, len(batch))
		var wg sync.WaitGroup
		for i, m := range batch {
			wg.Go(func() { verdicts[i], errs[i] = x.test(m, filepath.Join(dir, fmt.Sprint("m", i))) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		for i, m := range batch {
			results = append(results, outcome{m, verdicts[i]})
			if verdicts[i] <= timedOut {
				count++
			}
			if o.verbose {
				fmt.Fprintf(w, "  %v: %v\n", m, verdicts[i])
			}
		}
	}
	return results, nil
}

// report prints what became of the mutants of p.
func (o options) report(w io.Writer, p pkg, total int, results []outcome, known equivalents) {
	counts := map[verdict]int{}
	var excused, survivors []outcome
	for _, r := range results {
		switch {
		case r.verdict == survived && known[r.key()] != "":
			excused = append(excused, r)
		case r.verdict == survived:
			survivors = append(survivors, r)
		}
		counts[r.verdict]++
	}
	dead := counts[killed] + counts[timedOut]
	share := 100.0
	if dead+len(survivors) > 0 {
		share = 100 * float64(dead) / float64(dead+len(survivors))
	}
	fmt.Fprintf(w, "%s: %.0f %% killed: %d of %d, %d by the time limit (seed %d, %d of %d mutants drawn; %d do not compile, %d are known to make no difference)\n",
		p.ImportPath, share, dead, dead+len(survivors), counts[timedOut], o.seed, len(results), total, counts[noBuild], len(excused))
	for _, r := range survivors {
		fmt.Fprintf(w, "  survived: %v\n", r.mutant)
	}
	for _, r := range excused {
		fmt.Fprintf(w, "  makes no difference: %v (%s)\n", r.mutant, known[r.key()])
	}
}
