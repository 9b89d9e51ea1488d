package artifact

import (
	"bytes"
	"errors"
	"path"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzLayer reads any bytes as a layer, or as the tar stream in one: it neither
// panics nor goes beyond a limit, says no with a reason, and what it says yes
// to makes an archive that archive/tar reads.
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
		var archive bytes.Buffer
		if _, err := writeZippedArchive(&archive, files, bytes.NewReader(contentsOf.Bytes())); err != nil {
			t.Fatal(err)
		}
		found := contents(t, &archive)
		if len(found) != len(files) || len(found) == 0 {
			t.Errorf("expected %d files, found %d", len(files), len(found))
		}
		for _, file := range files {
			if _, ok := found[file.name]; !ok {
				t.Errorf("%q is missing", file.name)
			}
		}
	})
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
