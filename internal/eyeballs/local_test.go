package eyeballs

import "testing"

func TestLocal(t *testing.T) {
	for name, local := range map[string]bool{
		"localhost": true, "LocalHost.": true, "a.b.localhost": true, "a.localhost.": true,
		"": false, ".": false, "notlocalhost": false, "localhost.test": false, "localhost..": false, "127.0.0.1": false,
	} {
		got := Local(name)
		if (got != nil) != local {
			t.Errorf("%q: %v", name, got)
		}
		for _, ip := range got {
			if !ip.IsLoopback() {
				t.Errorf("%q: %v is no loopback address", name, ip)
			}
		}
		if local && (len(got) != 2 || got[0].Is4() == got[1].Is4()) {
			t.Errorf("%q: %v, want one address of each family", name, got)
		}
	}
}
