package native

import "syscall"

// candidates is empty: there is no kernel for Windows yet, and the error of Open says so.
func candidates() []candidate { return nil }

const hasBoottime = false

func sentinel(string, syscall.Errno) error { return nil }
