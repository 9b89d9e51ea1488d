package artifact

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzLayer reads any bytes as a layer, or as the tar stream in one: it neither
// panics nor goes beyond a limit, says no with a reason, and what it says yes
// to makes an archive that is safe to extract and the same each time.
func FuzzLayer(f *testing.F) {
	for _, seed := range [][]byte{
		tarOf(regular("a", "1"), dir("d"), item{name: "d/x", body: "2", mode: 0o755}),
		tarOf(item{name: "x", body: "x", pax: map[string]string{"path": "é/日本"}}),
		tarOf(item{name: "g", kind: 'g', body: record("comment", "x")}, regular("a", "1")),
		tarOf(typed("link", '2'), regular("../x", "1"), regular("a", "1"), regular("a/b", "1")),
		tarOf(item{name: "s", kind: 'S', body: "x"}),
		tarOf(item{name: "s", body: "x", pax: map[string]string{"GNU.sparse.map": "0,1", "GNU.sparse.size": "1"}}),
		tarOf(item{name: "b", body: "x", pax: map[string]string{"size": "9223372036854775807"}}),
		tarOf(item{name: "L", kind: 'L', body: strings.Repeat("n", 300)}, regular("x", "x")),
		append(tarOf(regular("a", "1")), 1),
		tarOf(typed("c", '3'), typed("b", '4'), typed("f", '6'), typed("h", '1'), typed("z", '7')),
		tarOf(item{name: "./a//b/./c", body: "x"}, item{name: "a/b/", kind: '5'}, item{name: `a\b`, body: "x"}),
		tarOf(item{name: "x", body: "x", pax: map[string]string{"path": "../x"}}, item{name: "y", body: "x", pax: map[string]string{"path": "/etc/passwd", "linkpath": "z"}}),
		tarOf(regular("a", strings.Repeat("1", 3<<10)), regular("b", strings.Repeat("2", 3<<10))),
		tarOf(regular("1", ""), regular("2", ""), regular("3", ""), regular("4", ""), regular("5", ""), regular("6", ""), regular("7", ""), regular("8", ""), regular("9", "")),
		nil,
	} {
		f.Add(seed, false)
		f.Add(zip(seed), true)
		f.Add(append(zip(seed), 'x'), true)
	}
	limits := Limits{ArchiveBytes: 4 << 10, Files: 8, Ratio: 200}
	f.Fuzz(func(t *testing.T, data []byte, zipped bool) {
		if !zipped {
			data = zip(data)
		}
		var contentsOf bytes.Buffer
		tree := newTree(limits, &contentsOf)
		err := tree.addLayer(bytes.NewReader(data), int64(len(data)))
		var files []file
		if err == nil {
			files, err = tree.files()
		}
		if tree.contents > limits.ArchiveBytes || tree.spool.n > limits.ArchiveBytes || contentsOf.Len() > int(limits.ArchiveBytes) ||
			tree.read > limits.Files+1 || len(tree.entries) > limits.Files || tree.overhead < -1 {
			t.Errorf("beyond a limit: %d, %d and %d bytes, %d entries, %d left", tree.contents, tree.spool.n, contentsOf.Len(), tree.read, tree.overhead)
		}
		if err != nil {
			var typed *Error
			if !errors.As(err, &typed) || typed.Reason != ReasonArtifactInvalid && typed.Reason != ReasonArtifactTooLarge {
				t.Errorf("expected a reason of the layer's, found %v", err)
			}
			if len(err.Error()) > 1024 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		archive, digest := archived(t, files, contentsOf.Bytes())
		held := wantSafe(t, archive, limits)
		if len(held) != len(files) || len(held) == 0 {
			t.Errorf("expected %d files, found %d", len(files), len(held))
		}
		for _, file := range files {
			if !held[file.name] {
				t.Errorf("%q is missing", file.name)
			}
		}
		// Once more it is the same, and so is the archive of the archive, within
		// limits that know its own headers.
		if again := archiveOf(t, limits, data); again != digest {
			t.Errorf("published again: %s and not %s", again, digest)
		}
		if again := archiveOf(t, Limits{ArchiveBytes: limits.ArchiveBytes, Files: limits.Files, Ratio: 1 << 20}, archive); again != digest {
			t.Errorf("the archive published: %s and not %s", again, digest)
		}
	})
}

// archived is the archive of files, and its digest.
func archived(t *testing.T, files []file, contents []byte) ([]byte, string) {
	t.Helper()
	var archive bytes.Buffer
	b, err := writeZippedArchive(&archive, files, bytes.NewReader(contents))
	if err != nil {
		t.Fatal(err)
	}
	if b.size != int64(archive.Len()) || b.files != len(files) {
		t.Errorf("%d bytes and %d files are said to be %d and %d", archive.Len(), len(files), b.size, b.files)
	}
	return archive.Bytes(), b.hex
}

// archiveOf is the digest of the archive of one layer, which must be accepted.
func archiveOf(t *testing.T, limits Limits, data []byte) string {
	t.Helper()
	var contentsOf bytes.Buffer
	tree := newTree(limits, &contentsOf)
	if err := tree.addLayer(bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
	files, err := tree.files()
	if err != nil {
		t.Fatal(err)
	}
	_, digest := archived(t, files, contentsOf.Bytes())
	return digest
}

// wantSafe reads an archive as those do who extract it: regular files only, in
// places of their own below the folder, within the limits. It returns their
// names.
func wantSafe(t *testing.T, archive []byte, limits Limits) map[string]bool {
	t.Helper()
	contents(t, bytes.NewReader(archive)) // canonical
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	names, total := map[string]bool{}, int64(0)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg || h.Linkname != "" || (h.Mode != 0o644 && h.Mode != 0o755) {
			t.Errorf("%q is of the type %q, mode %o, a link to %q", h.Name, h.Typeflag, h.Mode, h.Linkname)
		}
		if !filepath.IsLocal(h.Name) || h.Name != path.Clean(h.Name) || strings.ContainsAny(h.Name, "\\\x00\n") || names[h.Name] {
			t.Errorf("%q is outside, another spelling, or there twice", h.Name)
		}
		for above := path.Dir(h.Name); above != "."; above = path.Dir(above) {
			if names[above] {
				t.Errorf("%q is below the file %q", h.Name, above)
			}
		}
		names[h.Name] = true
		total += h.Size
	}
	if total > limits.ArchiveBytes || len(names) > limits.Files {
		t.Errorf("%d bytes in %d files", total, len(names))
	}
	return names
}

// FuzzCleanName says yes only to names that mean one place.
func FuzzCleanName(f *testing.F) {
	for _, seed := range []string{"a", "./a", "a//b/", "../a", "a/..", "/a", `a\b`, "a\x00", "a\xff", "", ".", "/", strings.Repeat("a/", 600)} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, name string, isFolder bool) {
		got, err := cleanName(name, isFolder)
		if err != nil {
			return
		}
		if got != path.Clean(got) || path.IsAbs(got) || got == "" || len(got) > maxNameBytes || got == "." && !isFolder ||
			!utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) || strings.Contains(got, `\`) {
			t.Errorf("%q becomes %q", name, got)
		}
		for _, element := range strings.Split(got, "/") {
			if element == ".." || len(element) > maxElementBytes {
				t.Errorf("%q becomes %q", name, got)
			}
		}
		if again, err := cleanName(got, isFolder); err != nil || again != got {
			t.Errorf("%q becomes %q, and that %q, %v", name, got, again, err)
		}
	})
}
