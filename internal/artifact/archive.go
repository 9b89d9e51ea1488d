package artifact

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// writeArchive writes files, which must be sorted by name and whose contents
// are at their offsets in contents, as a tar stream:
//
//   - entries in the order of the bytes of their paths, regular files only;
//   - each a ustar header (POSIX.1-2017, pax, "ustar Interchange Format") with
//     mode 0755 if anybody may execute it and 0644 otherwise, owner and group 0
//     without names, modified at 0 (1970);
//   - a path of more than 100 bytes split between name and prefix, if it is
//     ASCII and there is a slash to split at, and otherwise in a PAX extended
//     header ("pax Interchange Format") with that one record;
//   - two blocks of zeros at the end.
//
// People pin the digests of archives. So neither this format nor that of
// storedGzip may ever change, and neither archive/tar, whose headers are its
// maintainers' to choose, nor compress/flate, whose output differs between
// releases, takes part. The golden test holds the format.
func writeArchive(w io.Writer, files []file, contents io.ReaderAt) error {
	buffer := make([]byte, 64<<10)
	for _, f := range files {
		if err := writeHeader(w, f); err != nil {
			return err
		}
		n, err := io.CopyBuffer(w, io.NewSectionReader(contents, f.offset, f.size), buffer)
		if err != nil {
			return err
		}
		if n != f.size {
			return fmt.Errorf("%s: expected %d bytes in the spool, found %d: %w", quote(f.name), f.size, n, io.ErrUnexpectedEOF)
		}
		if err := writePadding(w, f.size); err != nil {
			return err
		}
	}
	_, err := w.Write(make([]byte, 2*blockBytes))
	return err
}

const blockBytes = 512

func writeHeader(w io.Writer, f file) error {
	mode := int64(0o644)
	if f.executable {
		mode = 0o755
	}
	prefix, name, fits := splitName(f.name)
	if !fits {
		record := paxRecord("path", f.name)
		// The name of an extended header means nothing; this is what others
		// call it.
		header := ustarHeader("", "././@PaxHeader", 'x', 0o644, int64(len(record)))
		for _, part := range []string{string(header[:]), record} {
			if _, err := io.WriteString(w, part); err != nil {
				return err
			}
		}
		if err := writePadding(w, int64(len(record))); err != nil {
			return err
		}
	}
	header := ustarHeader(prefix, name, '0', mode, f.size)
	_, err := w.Write(header[:])
	return err
}

func writePadding(w io.Writer, size int64) error {
	_, err := w.Write(make([]byte, -size&(blockBytes-1)))
	return err
}

const (
	nameField   = 100
	prefixField = 155
)

// splitName returns what the name and prefix fields hold. If they cannot hold
// the path, fits is false and name a stand-in for readers that do not know
// extended headers: ASCII, not empty, and not ending in a slash, which would
// make it a folder for them.
func splitName(path string) (prefix, name string, fits bool) {
	ascii := strings.Map(func(r rune) rune {
		if r > 0x7e {
			return '_'
		}
		return r
	}, path)
	if ascii == path {
		if len(path) <= nameField {
			return "", path, true
		}
		// The last slash that leaves a prefix short enough leaves the shortest
		// name.
		i := strings.LastIndexByte(path[:min(len(path), prefixField+1)], '/')
		if i > 0 && len(path)-i-1 <= nameField {
			return path[:i], path[i+1:], true
		}
	}
	name = ascii[:min(len(ascii), nameField)]
	if short, ok := strings.CutSuffix(name, "/"); ok {
		name = short + "_"
	}
	return "", name, false
}

// ustarHeader is one header block. Numbers are octal digits that fill their
// field but for one NUL.
func ustarHeader(prefix, name string, kind byte, mode, size int64) [blockBytes]byte {
	var h [blockBytes]byte
	copy(h[0:100], name)
	copy(h[100:108], fmt.Sprintf("%07o", mode))
	copy(h[108:116], "0000000") // uid
	copy(h[116:124], "0000000") // gid
	copy(h[124:136], fmt.Sprintf("%011o", size))
	copy(h[136:148], "00000000000") // mtime
	copy(h[148:156], "        ")    // chksum, which counts as spaces in itself
	h[156] = kind
	// h[157:257] is linkname.
	copy(h[257:263], "ustar\x00")
	copy(h[263:265], "00")
	// h[265:297] is uname, h[297:329] is gname.
	copy(h[329:337], "0000000") // devmajor
	copy(h[337:345], "0000000") // devminor
	copy(h[345:500], prefix)

	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

// paxRecord is "<length> <key>=<value>\n", where the length is that of the
// whole record, its own digits included.
func paxRecord(key, value string) string {
	const rest = len(" =\n")
	length := len(key) + len(value) + rest
	total := length + len(strconv.Itoa(length))
	if n := length + len(strconv.Itoa(total)); n != total {
		total = n
	}
	return fmt.Sprintf("%d %s=%s\n", total, key, value)
}
