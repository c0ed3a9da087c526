package reactor

import (
	"reflect"
	"testing"
	"time"
)

// GROUP-6: the sum has all that the loops have counted, and the slowest callback of all.
func TestGroupSum(t *testing.T) {
	var s GroupStats
	for i := range 3 {
		var loop Stats
		v := reflect.ValueOf(&loop).Elem()
		for j := range v.NumField() {
			switch f := v.Field(j); {
			case f.CanUint():
				f.SetUint(uint64((i + 1) * (j + 1)))
			case f.CanInt():
				f.SetInt(int64((i + 1) * (j + 1)))
			}
		}
		loop.Slowest, loop.SlowestName = time.Duration([]int{2, 9, 4}[i]), []string{"a", "b", "c"}[i]
		s.Loops = append(s.Loops, loop)
	}
	sum := s.sum().Sum
	v := reflect.ValueOf(sum)
	for j := range v.NumField() {
		name := v.Type().Field(j).Name
		switch f := v.Field(j); {
		case name == "Slowest" || name == "SlowestName":
		case f.CanUint() && f.Uint() != uint64(6*(j+1)), f.CanInt() && f.Int() != int64(6*(j+1)):
			t.Errorf("%s is %v, not %d", name, f, 6*(j+1))
		}
	}
	if sum.Slowest != 9 || sum.SlowestName != "b" {
		t.Errorf("the slowest is %v in %s", sum.Slowest, sum.SlowestName)
	}
}
