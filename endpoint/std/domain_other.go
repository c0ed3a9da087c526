//go:build windows || plan9 || js || wasip1

package std

// domainOf is not known: such a system passes no descriptors by number.
func domainOf(int) string { return "another" }

// socketKind is not known either.
func socketKind(int) kindOfSocket { return kindOther }
