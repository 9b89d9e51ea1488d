package artifact

import (
	"bufio"
	"errors"
	"io"
)

// meter reads a decompressed layer and stops one byte after a limit: it is
// what keeps a small layer from becoming a large amount of work.
type meter struct {
	r        io.Reader
	overhead *int64 // the tree's
	read     int64  // of this layer
	most     int64  // of this layer, by the ratio
	limits   Limits
	layer    int
	err      error // the limit that was found exceeded; stays
}

func (m *meter) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	if room := min(*m.overhead, m.most-m.read); int64(len(p)) > room+1 {
		p = p[:room+1]
	}
	n, err := m.r.Read(p)
	m.read += int64(n)
	*m.overhead -= int64(n)
	switch {
	case m.read > m.most:
		m.err = tooLarge("layer %d: expected at most %d uncompressed bytes for each compressed one (the limit on an artifact's compression ratio), found more than %d bytes uncompressed",
			m.layer, m.limits.Ratio, m.most)
	case *m.overhead < 0:
		m.err = tooLarge("layer %d: expected at most %d bytes besides the contents of files in all layers (%d for each entry that the limit on an artifact's files allows), found more than %d",
			m.layer, m.limits.overhead(), overheadBytesEach, m.limits.overhead())
	}
	if m.err != nil {
		return 0, m.err
	}
	return n, err
}

// source remembers that the disk failed, and not the layer.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// spool takes the contents of all files, one after the other.
type spool struct {
	w   *bufio.Writer
	n   int64
	err error
}

func (s *spool) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.n += int64(n)
	if err != nil {
		s.err = err
	}
	return n, err
}
