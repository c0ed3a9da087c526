package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "whorl (unknown version)"
	}
	return versionOf(info)
}

// versionOf is the module's version, the commit if it is known, the Go version and
// the platform.
func versionOf(info *debug.BuildInfo) string {
	version, commit, changed := info.Main.Version, "", ""
	if version == "" {
		version = "(devel)"
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = " commit " + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with changes"
		}
	}
	if commit == "" {
		changed = ""
	}
	return fmt.Sprintf("whorl %s%s%s %s %s/%s", version, commit, changed, info.GoVersion, runtime.GOOS, runtime.GOARCH)
}
