package reactor

import (
	"fmt"
	"strings"
)

// LogPrefixer is what a protocol or factory may also be, to choose the name that
// logs use for it; the default is the name of its type (PROTO-5).
type LogPrefixer interface{ LogPrefix() string }

// LogPrefixOf is how v is named in logs: by itself, if it is a [LogPrefixer], and else
// by its type, without the package.
func LogPrefixOf(v any) string {
	var l LogPrefixer
	switch v := v.(type) {
	case Protocol:
		l, _ = ProtocolAs[LogPrefixer](v)
	case Factory:
		l, _ = FactoryAs[LogPrefixer](v)
	}
	if l != nil {
		return l.LogPrefix()
	}
	name := fmt.Sprintf("%T", v)
	return name[strings.LastIndexAny(name, ".*")+1:]
}
