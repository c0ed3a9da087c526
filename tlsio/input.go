package tlsio

// headerSize is the size of a record's header: type, version, length.
const headerSize = 5

// alertType is the type of a record that is an alert, or was one before it was protected by TLS 1.2.
const alertType = 21

// input is ciphertext that crypto/tls has not taken yet, and where its records end.
type input struct {
	data []byte
	left int32            // bytes of the record in progress that crypto/tls has not been given
	hdr  [headerSize]byte // of the record in progress
	at   uint8            // bytes of hdr that it has been given
}

// add appends a copy of p, which is lent.
func (in *input) add(p []byte) { in.data = append(in.data, p...) }

// take appends p, which becomes the input's.
func (in *input) take(p []byte) {
	if len(in.data) == 0 {
		in.data = p
		return
	}
	in.add(p)
}

// give copies to p, up to the end of the record in progress.
func (in *input) give(p []byte) int {
	n := 0
	for n < len(p) && len(in.data) > 0 {
		if in.left == 0 { // in a header
			in.hdr[in.at] = in.data[0]
			p[n] = in.data[0]
			in.data = in.data[1:]
			n++
			if in.at++; in.at == headerSize {
				in.at = 0
				in.left = int32(in.hdr[3])<<8 | int32(in.hdr[4])
				if in.left == 0 {
					break
				}
			}
			continue
		}
		m := copy(p[n:], in.data[:min(len(in.data), int(in.left))])
		in.data = in.data[m:]
		in.left -= int32(m)
		n += m
		if in.left == 0 {
			break
		}
	}
	return n
}

// between tells whether the record that was given out last was given out whole.
func (in *input) between() bool { return in.at == 0 && in.left == 0 }

// alert tells whether the record that was given out last is an alert that is not protected: a level and a number. A protected one
// is longer.
func (in *input) alert() bool {
	return in.between() && in.hdr[0] == alertType && in.hdr[3] == 0 && in.hdr[4] == 2
}

// another tells whether a whole record stands behind the one that was given out.
func (in *input) another() bool {
	return in.between() && len(in.data) >= headerSize &&
		len(in.data)-headerSize >= int(in.data[3])<<8|int(in.data[4])
}
