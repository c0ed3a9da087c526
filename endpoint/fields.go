package endpoint

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// form is the grammar of one type, from the tags of its struct.
type form struct {
	summary string
	fields  []field
	byPlace int // how many fields, from the first, may be given by position
}

// field is one argument.
type field struct {
	name     string
	goName   string // such as StreamOptions.NoDelay
	index    []int  // for reflect.Value.FieldByIndex
	place    int    // by position, from 0; -1: only by keyword
	optional bool
	unless   string // another argument, with which this one may be left out
	inverted bool   // the field is true when the argument is no
	list     bool   // it may be given several times, by keyword
	filled   bool   // it must not be given without a value
	help     string
}

// formOf reads the tags of the struct that e points to. Arguments by position come
// first, in the order of their positions; the others follow in the order of their
// fields. A struct with contradictory tags is a mistake in the program: formOf
// panics.
func formOf(e any) (form, reflect.Value) {
	v := reflect.ValueOf(e)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("endpoint: a scheme is a pointer to a struct, not %T", e))
	}
	v = v.Elem()
	t := v.Type()
	var f form
	var keywords []field
	places := map[int]field{}
	for _, a := range fieldsOf(t, t) {
		if a.place < 0 {
			keywords = append(keywords, a)
			continue
		}
		if other, taken := places[a.place]; taken {
			panic(fmt.Sprintf("endpoint: %v: two arguments at position %d: %s and %s", t, a.place, other.goName, a.goName))
		}
		places[a.place] = a
	}
	for f.byPlace < len(places) {
		a, ok := places[f.byPlace]
		if !ok {
			panic(fmt.Sprintf("endpoint: %v: no argument at position %d", t, f.byPlace))
		}
		f.byPlace++
		f.fields = append(f.fields, a)
	}
	f.fields = append(f.fields, keywords...)
	f.check(t)
	if blank, ok := t.FieldByName("_"); ok && len(blank.Index) == 1 {
		f.summary = blank.Tag.Get("help")
	}
	return f, v
}

// fieldsOf returns the arguments that t declares, in the order of the fields. Those of an
// embedded struct stand where it does. of is the whole struct, for messages.
func fieldsOf(of, t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, tagged := sf.Tag.Lookup("ep")
		switch {
		case sf.Anonymous && sf.Type.Kind() == reflect.Struct && kindOf(sf.Type) == kindNone:
			promoted := fieldsOf(of, sf.Type)
			for j := range promoted {
				promoted[j].goName = sf.Name + "." + promoted[j].goName
				promoted[j].index = append([]int{i}, promoted[j].index...)
			}
			replace(of, promoted, tag)
			all = append(all, promoted...)
		case tagged:
			a := readTag(tag, sf)
			a.index = []int{i}
			all = append(all, a)
		}
	}
	return all
}

// replace gives arguments of an embedded struct new positions. tag lists them in the
// form of the tags of fields, separated by blanks: `ep:"port,0 backlog,1,optional"`.
func replace(of reflect.Type, promoted []field, tag string) {
	for one := range strings.FieldsSeq(tag) {
		moved, ok := parseTag(one)
		i := slices.IndexFunc(promoted, func(a field) bool { return a.name == moved.name })
		if !ok || i < 0 {
			panic(fmt.Sprintf("endpoint: %v: %q is not the place of an argument of the embedded struct", of, one))
		}
		promoted[i].place, promoted[i].optional, promoted[i].unless = moved.place, moved.optional, moved.unless
	}
}

// readTag reads the tags of a field, `ep:"[!]name[,position[,optional]]" help:"text"`, with unless=name in the place of
// optional for one that must be given unless that other one is.
func readTag(tag string, sf reflect.StructField) field {
	straight, inverted := strings.CutPrefix(tag, "!")
	a, ok := parseTag(straight)
	a.inverted = inverted
	ok = ok && (!inverted || kindOf(sf.Type) == kindBool)
	a.list = kindOf(sf.Type) == kindList
	if !ok || !sf.IsExported() || kindOf(sf.Type) == kindNone {
		panic(fmt.Sprintf("endpoint: field %s %v cannot be the argument %q", sf.Name, sf.Type, tag))
	}
	a.goName, a.help, a.filled = sf.Name, sf.Tag.Get("help"), sf.Tag.Get("empty") == "no"
	return a
}

// parseTag splits "name[,position[,optional]]" or "name,position,unless=other".
func parseTag(tag string) (a field, ok bool) {
	parts := strings.Split(tag, ",")
	a = field{name: parts[0], place: -1, optional: len(parts) != 2}
	ok = a.name != "" && len(parts) <= 3
	if len(parts) == 3 {
		var conditional bool
		a.unless, conditional = strings.CutPrefix(parts[2], "unless=")
		if a.optional = !conditional; !conditional {
			ok, a.unless = ok && parts[2] == "optional", ""
		}
	}
	if len(parts) > 1 {
		n, err := strconv.Atoi(parts[1])
		ok = ok && err == nil && n >= 0
		a.place = n
	}
	return a, ok
}

func (f *form) check(t reflect.Type) {
	for i, a := range f.fields {
		if first := f.find(a.name); first != i {
			panic(fmt.Sprintf("endpoint: %v: two arguments %q: %s and %s", t, a.name, f.fields[first].goName, a.goName))
		}
		if a.list && a.place >= 0 {
			panic(fmt.Sprintf("endpoint: %v: field %s []string cannot be an argument by position", t, a.goName))
		}
		if a.unless != "" && f.find(a.unless) < 0 {
			panic(fmt.Sprintf("endpoint: %v: %q may be left out with %q, which is no argument", t, a.name, a.unless))
		}
		if i > 0 && !a.optional && f.fields[i-1].optional {
			panic(fmt.Sprintf("endpoint: %v: %q must not follow an optional argument", t, a.name))
		}
	}
}

// find returns the index of the argument called name, or -1.
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

// fill sets the fields of e to args (GRAM-3, GRAM-7). Other fields keep their values.
func fill(scheme string, args []Argument, e any) error {
	f, v := formOf(e)
	const absent, keyword, position = 0, 1, 2
	given := make([]int, len(f.fields))
	values := make([]string, len(f.fields))
	cleared := make([]bool, len(f.fields)) // lists that have lost their default
	fail := func(name, value, format string, a ...any) error {
		return &ArgumentError{Scheme: scheme, Argument: name, Value: value, Err: fmt.Errorf(format, a...)}
	}
	if len(f.fields) == 0 && len(args) == 1 && args[0] == (Argument{}) {
		args = nil // the colon of "stdio:" (GRAM-15)
	}
	place := 0
	for _, a := range args {
		i, how := f.find(a.Name), keyword
		if a.Name == "" {
			if place == f.byPlace {
				return fail("", a.Value, "surplus argument %q; by position it takes %s%s%s", a.Value, list(f.names(place)), bracketHint(args), f.placeHint(args))
			}
			i, how = place, position
			place++
		}
		if i < 0 {
			known := f.names(len(f.fields))
			return fail(a.Name, a.Value, "no such argument (value %q)%s; it takes %s%s", a.Value, didYouMean(a.Name, known), list(known), f.placeHint(args))
		}
		if given[i]|how == keyword|position {
			return fail(f.fields[i].name, a.Value, "given by position and by keyword, %q and %q%s%s", values[i], a.Value, bracketHint(args), f.placeHint(args))
		}
		given[i], values[i] = how, a.Value
		if f.fields[i].list {
			v := v.FieldByIndex(f.fields[i].index)
			if !cleared[i] {
				v.SetZero()
			}
			cleared[i] = true
			_ = set(v, a.Value) // any text will do
		}
	}
	for i, a := range f.fields {
		if given[i] == absent {
			switch {
			case a.optional, a.unless != "" && given[f.find(a.unless)] != absent:
				continue
			case a.unless != "":
				return fail(a.name, "", "missing: it is required without %s=", a.unless)
			}
			return fail(a.name, "", "missing: it is required")
		}
		if a.list {
			continue
		}
		if a.filled && values[i] == "" {
			return fail(a.name, "", "it is empty: give it a value, or leave it out")
		}
		if err := a.set(v, values[i]); err != nil {
			return &ArgumentError{Scheme: scheme, Argument: a.name, Value: values[i], Err: err}
		}
	}
	return nil
}

// bracketHint is what to say when there are too many arguments, and an IPv6 address that was split at its ':' is among them.
func bracketHint(args []Argument) string {
	const groups = 8 // the most of an address
	for i, a := range args {
		text := a.Value
		for _, b := range args[i+1 : min(i+groups, len(args))] {
			if b.Name != "" {
				break
			}
			text += ":" + b.Value
			if _, err := netip.ParseAddr(text); err == nil && (a.Name != "" || text != "::") {
				return "; an IPv6 address must stand in brackets, as in [::1]"
			}
		}
	}
	return ""
}

// placeHint is what to say when an argument does not belong here, and the description of another place, in "endpoint", was split at its ':'. So it
// is written in Twisted, which takes the whole rest for it.
func (f *form) placeHint(args []Argument) string {
	i := f.find("endpoint")
	if i < 0 || len(args) == 0 {
		return ""
	}
	for _, a := range args[:len(args)-1] { // the last one has lost nothing
		if (a.Name == "endpoint" || a.Name == "" && f.fields[i].place == 0) && a.Value != "" {
			if strings.ContainsAny(a.Value, ":[") {
				return ""
			}
			return "; a description with ':' must stand in brackets, as in [tcp:80]"
		}
	}
	return ""
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// set gives the field of e the value of text.
func (a *field) set(e reflect.Value, text string) error {
	v := e.FieldByIndex(a.index)
	if err := set(v, text); err != nil {
		return err
	}
	if a.inverted {
		v.SetBool(!v.Bool())
	}
	return nil
}

// text returns the text from which set makes the value that the field of e has, and whether
// that is the zero value.
func (a *field) text(e reflect.Value) (text string, zero bool) {
	v := e.FieldByIndex(a.index)
	if a.inverted {
		return format(reflect.ValueOf(!v.Bool())), v.IsZero()
	}
	return format(v), v.IsZero()
}
