package reactor

import (
	"fmt"
	"strings"
)

// LogPrefixer is implemented by a Protocol or Factory that chooses its own name in logs.
// The default is the name of its type, without the package (PROTO-5).
type LogPrefixer interface{ LogPrefix() string }

// LogPrefixOf returns the name of v in logs: the LogPrefix of a [LogPrefixer], otherwise
// the name of v's type without the package. A LogPrefixer that a Protocol or Factory wraps
// counts too.
func LogPrefixOf(v any) string {
	var l LogPrefixer
	switch v := v.(type) {
	case Protocol:
		l, _ = ProtocolAs[LogPrefixer](v)
	case Factory:
		l, _ = FactoryAs[LogPrefixer](v)
	case PacketProtocol:
		l, _ = PacketProtocolAs[LogPrefixer](v)
	}
	if l != nil {
		return l.LogPrefix()
	}
	name := fmt.Sprintf("%T", v)
	return name[strings.LastIndexAny(name, ".*")+1:]
}
