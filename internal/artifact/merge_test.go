package artifact

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// contents is what archive/tar and compress/gzip find in an archive: for each
// path, in octal, the mode, and the contents. It fails on anything that is not
// canonical.
func contents(t testing.TB, archive io.Reader) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(gzip.Header{OS: 255}, z.Header); diff != "" {
		t.Errorf("gzip header (-want +got):\n%s", diff)
	}
	found := map[string]string{}
	last := ""
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if header.Name <= last {
			t.Errorf("%q comes after %q", header.Name, last)
		}
		last = header.Name
		if header.Typeflag != tar.TypeReg || header.Uid != 0 || header.Gid != 0 || header.Uname != "" ||
			header.Gname != "" || header.ModTime.Unix() != 0 || header.Linkname != "" {
			t.Errorf("%q is not canonical: %+v", header.Name, header)
		}
		found[header.Name] = fmt.Sprintf("%o %s", header.Mode, body)
	}
	if rest, err := io.ReadAll(z); err != nil || len(bytes.Trim(rest, "\x00")) > 0 {
		t.Errorf("after the archive: %q, %v", rest, err)
	}
	return found
}

// publish publishes layers, and returns the archive's path on disk too.
func publish(t testing.TB, s *Store, o Owner, layers ...[]byte) (Published, string) {
	t.Helper()
	v, signatures := verified(t)
	published, err := s.Publish(v, o, layersOnDisk(t, layers...), signatures)
	if err != nil {
		t.Fatal(err)
	}
	return published, filepath.Join(s.dir, filepath.FromSlash(published.Path))
}

func readArchive(t testing.TB, name string) map[string]string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return contents(t, f)
}

func TestPublishMerges(t *testing.T) {
	cases := map[string]struct {
		layers [][]byte
		want   map[string]string
	}{
		"a later file replaces an earlier one": {
			[][]byte{
				layer(regular("a", "old, and longer"), regular("b", "b"), item{name: "x", body: "x", mode: 0o755}),
				layer(regular("a", "new"), regular("x", "not executable any more")),
			},
			map[string]string{"a": "644 new", "b": "644 b", "x": "644 not executable any more"},
		},
		"three layers": {
			[][]byte{layer(regular("a", "1")), layer(regular("a", "2")), layer(regular("a", "3"))},
			map[string]string{"a": "644 3"},
		},
		"folders are implied": {
			[][]byte{layer(dir("./"), dir("d/"), dir("empty/"), regular("d/e/f", "f")), layer(dir("d"), dir("."), regular("d/g", "g"))},
			map[string]string{"d/e/f": "644 f", "d/g": "644 g"},
		},
		"names are cleaned": {
			[][]byte{layer(regular("./a", "a"), regular("b//c", "c"), regular("d/./e", "e"), regular("...", "dots"), regular("..a/b..", "dots"))},
			map[string]string{"a": "644 a", "b/c": "644 c", "d/e": "644 e", "...": "644 dots", "..a/b..": "644 dots"},
		},
		"a later file replaces one that was spelt otherwise": {
			[][]byte{layer(regular("./a", "1")), layer(regular("a", "2"))},
			map[string]string{"a": "644 2"},
		},
		"case is preserved": {
			[][]byte{layer(regular("README", "1"), regular("readme", "2"))},
			map[string]string{"README": "644 1", "readme": "644 2"},
		},
		"modes": {
			[][]byte{layer(
				item{name: "anybody", mode: 0o001}, item{name: "group", mode: 0o010}, item{name: "owner", mode: 0o100},
				item{name: "nobody", mode: 0o666}, item{name: "setuid", mode: 0o6744},
			)},
			map[string]string{"anybody": "755 ", "group": "755 ", "owner": "755 ", "nobody": "644 ", "setuid": "755 "},
		},
		"a global header of git-archive": {
			[][]byte{layer(item{name: "pax_global_header", kind: 'g', body: record("comment", "0123456789abcdef")}, regular("a", "1"))},
			map[string]string{"a": "644 1"},
		},
		"a type flag of the seventh edition": {
			[][]byte{zip(append(seventhEdition(regular("a", "1")), make([]byte, 1024)...))},
			map[string]string{"a": "644 1"},
		},
		"records padded with zeros": {
			[][]byte{zip(append(tarOf(regular("a", "1")), make([]byte, 10240)...))},
			map[string]string{"a": "644 1"},
		},
		"no blocks at the end": {
			[][]byte{zip(regular("a", "1").raw())},
			map[string]string{"a": "644 1"},
		},
		"extended headers": {
			[][]byte{layer(item{name: "short", body: "x", pax: map[string]string{"path": "é/日本", "mtime": "1.5", "SCHILY.xattr.user.a": "b"}})},
			map[string]string{"é/日本": "644 x"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Options{})
			published, file := publish(t, s, owner, c.layers...)
			if diff := cmp.Diff(c.want, readArchive(t, file)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if published.Files != len(c.want) {
				t.Errorf("expected %d files, found %d", len(c.want), published.Files)
			}
			if diff := cmp.Diff(c.want, extract(t, c.layers...)); diff != "" {
				t.Errorf("extracted (-want +got):\n%s", diff)
			}
		})
	}
}

// seventhEdition is the item as the seventh edition's tar wrote it: no magic, no
// type, and the checksum of that.
func seventhEdition(i item) []byte {
	out := i.raw()
	clear(out[156:157])
	clear(out[257:512])
	copy(out[148:], "        ")
	sum := 0
	for _, b := range out[:512] {
		sum += int(b)
	}
	copy(out[148:], fmt.Sprintf("%06o\x00 ", sum))
	return out
}

func unzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
