package deferred

// maxCircle is how many results are looked at to find a circle. So following a result takes no time that grows with the length of a chain.
const maxCircle = 100

// reaches tells whether n is d, or waits for it by way of others. It stops when it has looked at left results.
func reaches(n, d node, left *int) bool {
	for n != nil && *left > 0 {
		*left--
		if n == d {
			return true
		}
		for i := 1; ; i++ { // of a list, which is seldom
			more := n.awaits(i)
			if more == nil {
				break
			}
			if reaches(more, d, left) {
				return true
			}
		}
		n = n.awaits(0)
	}
	return false
}

func (d *Deferred[T]) awaits(i int) node {
	if i > 0 || d.state != pending {
		return nil
	}
	return d.peer
}

// awaits returns the members. A list for which one of several is enough may come although it waits for itself.
func (l *list[T, R]) awaits(i int) node {
	if i >= len(l.members) || l.one && l.left > 1 {
		return nil
	}
	return l.members[i]
}
