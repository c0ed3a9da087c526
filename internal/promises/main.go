// Command promises finds the numbered promises that no test cites.
//
// docs/promises lists the promises, by area. A test that asserts promise 59 of area TCP
// says "TCP-59". This program counts such citations in the test files of the tree, and in
// the suites kerneltest and transporttest if a test runs them. A number counts
//
//   - in the comment of a function that can fail the test: it calls Error, Fatal and the
//     like, or another such function, or hands on its t; an Example counts too;
//   - in such a function, in a comment with an assertion beside it, or below it before the
//     next empty line;
//   - in a text that such a call is given, or in the name of a subtest;
//   - in a row of a table that such a function uses.
//
// It also counts the numbers that have a line in docs/differences.md. For each area it
// prints which numbers are missing: neither cited nor listed there.
//
//	go run ./internal/promises [-json] [-require AREA,AREA,...] [-root dir]
//
// It fails if the listing is not in order, for instance if a number is listed twice. It
// fails if a file in the tree mentions a number that the listing does not have. It fails
// if an entry and docs/differences.md disagree about a difference. With -require it also
// fails if a required area has missing numbers.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

func main() {
	err := run(os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "promises:", err)
		os.Exit(1)
	}
}

// run runs the program. It writes the result to w.
func run(args []string, w io.Writer) error {
	set := flag.NewFlagSet("promises", flag.ContinueOnError)
	asJSON := set.Bool("json", false, "print for a program to read")
	require := set.String("require", "", "fail if one of these areas, separated by commas, has missing numbers")
	root := set.String("root", ".", "the root of the tree")
	if err := set.Parse(args); err != nil {
		return err
	}
	rep, err := examine(os.DirFS(*root))
	if err != nil {
		return err
	}
	required, err := names(*require, rep.Areas)
	if err != nil {
		return err
	}
	if *asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "\t")
		err = enc.Encode(rep)
	} else {
		err = rep.print(w)
	}
	if err != nil {
		return err
	}
	return rep.verdict(required)
}

// names splits a list of areas. All of them must exist.
func names(list string, areas []area) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	split := strings.Split(list, ",")
	for _, name := range split {
		if !slices.ContainsFunc(areas, func(a area) bool { return a.Name == name }) {
			return nil, fmt.Errorf("there is no area %q", name)
		}
	}
	return split, nil
}

// verdict returns an error if one of the required areas has missing numbers, or if the
// documents and the tree disagree.
func (r *report) verdict(required []string) error {
	var errs []error
	for _, a := range r.Areas {
		if slices.Contains(required, a.Name) && len(a.Missing) > 0 {
			errs = append(errs, fmt.Errorf("%s: no test cites %s", a.Name, ranges(a.Missing)))
		}
	}
	for _, c := range r.Unknown {
		errs = append(errs, fmt.Errorf("%v: %s has no such promise", c, listing))
	}
	for _, c := range r.Unmarked {
		errs = append(errs, fmt.Errorf("%v has a line in %s: end the entry with %q", c, differences, mark))
	}
	for _, c := range r.Marked {
		errs = append(errs, fmt.Errorf("%v has no line in %s: take %q away", c, differences, mark))
	}
	return errors.Join(errs...)
}

// print writes r as a table for people.
func (r *report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "area\ttotal\tcited\tdiffer\tmissing\t\t")
	var sum [4]int
	for _, a := range r.Areas {
		title := a.Title
		if a.State != "" {
			title += " (" + a.State + ")"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n",
			a.Name, a.Total, len(a.Cited), len(a.Differ), len(a.Missing), title, ranges(a.Missing))
		for i, n := range []int{a.Total, len(a.Cited), len(a.Differ), len(a.Missing)} {
			sum[i] += n
		}
	}
	fmt.Fprintf(t, "all\t%d\t%d\t%d\t%d\t\t\n", sum[0], sum[1], sum[2], sum[3])
	return t.Flush()
}
