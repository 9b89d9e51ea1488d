package artifact

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

// storedGzip frames what is written to it as gzip (RFC 1952) in stored DEFLATE
// blocks (RFC 1951, section 3.2.4), each of 65535 bytes but the last, which has
// the remaining 1 to 65535 (or 0 of nothing). Nothing is compressed: the
// output is then a function of the input alone, and not of a library's release.
type storedGzip struct {
	w      io.Writer
	block  []byte // the next block, not yet written
	opened bool
	crc    uint32
	size   uint32 // RFC 1952: modulo 2^32
}

// maxStoredBlock is what LEN holds.
const maxStoredBlock = 65535

func newStoredGzip(w io.Writer) *storedGzip {
	return &storedGzip{w: w, block: make([]byte, 0, maxStoredBlock)}
}

func (z *storedGzip) Write(p []byte) (int, error) {
	z.crc = crc32.Update(z.crc, crc32.IEEETable, p)
	z.size += uint32(len(p))
	for rest := p; len(rest) > 0; {
		// A full block stays until more comes: it may be the last.
		if len(z.block) == maxStoredBlock {
			if err := z.flush(false); err != nil {
				return 0, err
			}
		}
		n := min(len(rest), maxStoredBlock-len(z.block))
		z.block = append(z.block, rest[:n]...)
		rest = rest[n:]
	}
	return len(p), nil
}

// Close writes the last block and the trailer. It does not close the writer
// below.
func (z *storedGzip) Close() error {
	if err := z.flush(true); err != nil {
		return err
	}
	trailer := binary.LittleEndian.AppendUint32(nil, z.crc)
	trailer = binary.LittleEndian.AppendUint32(trailer, z.size)
	_, err := z.w.Write(trailer)
	return err
}

func (z *storedGzip) flush(last bool) error {
	var header []byte
	if !z.opened {
		z.opened = true
		// ID1 ID2, CM deflate, FLG none, MTIME 0, XFL 0, OS unknown.
		header = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}
	}
	// BFINAL, BTYPE 00, and the rest of the byte skipped; then LEN and NLEN.
	if last {
		header = append(header, 1)
	} else {
		header = append(header, 0)
	}
	length := uint16(len(z.block))
	header = binary.LittleEndian.AppendUint16(header, length)
	header = binary.LittleEndian.AppendUint16(header, ^length)
	if _, err := z.w.Write(header); err != nil {
		return err
	}
	_, err := z.w.Write(z.block)
	z.block = z.block[:0]
	return err
}
