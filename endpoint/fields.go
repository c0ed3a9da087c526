package endpoint

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// form is the grammar of one type: what its struct's tags say.
type form struct {
	summary string
	fields  []field
	byPlace int // the first so many fields may be given by position
}

// field is one argument.
type field struct {
	name     string
	index    int // in the struct
	optional bool
	help     string
}

// formOf reads the tags of the struct that e points to. Those by position come
// first, in their order, then the others in theirs. A struct that makes no sense
// is a mistake in the program: it panics.
func formOf(e any) (form, reflect.Value) {
	v := reflect.ValueOf(e)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("endpoint: a scheme is a pointer to a struct, not %T", e))
	}
	v = v.Elem()
	var f form
	var keywords []field
	places := map[int]field{}
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		tag, ok := sf.Tag.Lookup("ep")
		if !ok {
			if sf.Name == "_" {
				f.summary = sf.Tag.Get("help")
			}
			continue
		}
		a, place := readTag(tag, sf)
		if place < 0 {
			keywords = append(keywords, a)
			continue
		}
		if _, taken := places[place]; taken {
			panic(fmt.Sprintf("endpoint: %v: two arguments at position %d", v.Type(), place))
		}
		places[place] = a
	}
	for f.byPlace < len(places) {
		a, ok := places[f.byPlace]
		if !ok {
			panic(fmt.Sprintf("endpoint: %v: no argument at position %d", v.Type(), f.byPlace))
		}
		f.byPlace++
		f.fields = append(f.fields, a)
	}
	f.fields = append(f.fields, keywords...)
	f.check(v.Type())
	return f, v
}

// readTag reads `ep:"name[,position[,optional]]" help:"text"`.
func readTag(tag string, sf reflect.StructField) (a field, place int) {
	parts := strings.Split(tag, ",")
	a = field{name: parts[0], index: sf.Index[0], optional: len(parts) != 2, help: sf.Tag.Get("help")}
	place = -1
	bad := a.name == "" || !sf.IsExported() || len(parts) > 3 || kindOf(sf.Type) == kindNone ||
		len(parts) == 3 && parts[2] != "optional"
	if len(parts) > 1 {
		n, err := strconv.Atoi(parts[1])
		bad = bad || err != nil || n < 0
		place = n
	}
	if bad {
		panic(fmt.Sprintf("endpoint: field %s %v cannot be the argument %q", sf.Name, sf.Type, tag))
	}
	return a, place
}

func (f *form) check(t reflect.Type) {
	for i, a := range f.fields {
		if f.find(a.name) != i {
			panic(fmt.Sprintf("endpoint: %v: two arguments %q", t, a.name))
		}
		if i > 0 && !a.optional && f.fields[i-1].optional {
			panic(fmt.Sprintf("endpoint: %v: %q must not follow an optional argument", t, a.name))
		}
	}
}

// find is the index of the argument called name, or -1.
func (f *form) find(name string) int {
	return slices.IndexFunc(f.fields, func(a field) bool { return a.name == name })
}

func (f *form) names(n int) []string {
	var names []string
	for _, a := range f.fields[:n] {
		names = append(names, a.name)
	}
	return names
}

// fill sets the fields of e as args say (GRAM-3, GRAM-7). What args do not name
// keeps its value.
func fill(scheme string, args []Argument, e any) error {
	f, v := formOf(e)
	const absent, keyword, position = 0, 1, 2
	given := make([]int, len(f.fields))
	values := make([]string, len(f.fields))
	fail := func(name, value, format string, a ...any) error {
		return &ArgumentError{Scheme: scheme, Argument: name, Value: value, Err: fmt.Errorf(format, a...)}
	}
	place := 0
	for _, a := range args {
		i, how := f.find(a.Name), keyword
		if a.Name == "" {
			if place == f.byPlace {
				return fail("", a.Value, "surplus argument %q; by position it takes %s", a.Value, list(f.names(place)))
			}
			i, how = place, position
			place++
		}
		if i < 0 {
			known := f.names(len(f.fields))
			return fail(a.Name, a.Value, "no such argument (value %q)%s; it takes %s", a.Value, didYouMean(a.Name, known), list(known))
		}
		if given[i]|how == keyword|position {
			return fail(f.fields[i].name, a.Value, "given by position and by keyword, %q and %q", values[i], a.Value)
		}
		given[i], values[i] = how, a.Value
	}
	for i, a := range f.fields {
		if given[i] == absent {
			if !a.optional {
				return fail(a.name, "", "missing: it is required")
			}
			continue
		}
		if err := set(v.Field(a.index), values[i]); err != nil {
			return &ArgumentError{Scheme: scheme, Argument: a.name, Value: values[i], Err: err}
		}
	}
	return nil
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}
