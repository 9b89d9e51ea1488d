package artifact

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var owner = Owner{Namespace: "modules", Name: "podinfo"}

// newStore is a store in a folder of the test's.
func newStore(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Root == "" {
		o.Root = t.TempDir()
	}
	if o.OnError == nil {
		o.OnError = func(err error) { t.Errorf("in the background: %v", err) }
	}
	s, err := NewStore(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// refuse publishes and wants an *Error of that reason whose text has all of
// mentions, and nothing left on the disk.
func refuse(t *testing.T, limits Limits, layers [][]byte, reason Reason, mentions ...string) {
	t.Helper()
	s := newStore(t, Options{Limits: limits})
	v, signatures := verified(t)
	published, err := s.Publish(v, owner, layersOnDisk(t, layers...), signatures)
	var typed *Error
	if !errors.As(err, &typed) || typed.Reason != reason {
		t.Fatalf("expected an *Error of %s, found %v (%#v)", reason, err, published)
	}
	text := err.Error()
	for _, m := range mentions {
		if !strings.Contains(text, m) {
			t.Errorf("expected the error to say %q, found: %s", m, text)
		}
	}
	if len(text) > 1024 || strings.ContainsAny(text, "\n\x00") || strings.Contains(text, s.dir) {
		t.Errorf("expected a bounded, quoted text without paths of the disk, found: %q", text)
	}
	if diff := cmp.Diff(Published{}, published); diff != "" {
		t.Errorf("published in spite of the error:\n%s", diff)
	}
	if left := leftOver(t, s); len(left) > 0 {
		t.Errorf("expected nothing on the disk, found %q", left)
	}
	refuseToExtract(t, limits, layers, text)
}

func TestPublishRefusesEntries(t *testing.T) {
	long := strings.Repeat("n", 256)
	deep := strings.Repeat("d/", 512) + "f"
	cases := map[string]struct {
		entry    item
		mentions []string
	}{
		"symbolic link":               {typed("link", '2'), []string{`"link"`, "symbolic link"}},
		"hard link":                   {typed("link", '1'), []string{`"link"`, "hard link"}},
		"character device":            {typed("tty", '3'), []string{`"tty"`, "character device"}},
		"block device":                {typed("sda", '4'), []string{`"sda"`, "block device"}},
		"FIFO":                        {typed("pipe", '6'), []string{`"pipe"`, "FIFO"}},
		"contiguous file":             {typed("c", '7'), []string{`"c"`, `type "7"`}},
		"unknown type":                {typed("z", 'Z'), []string{`"z"`, `type "Z"`}},
		"volume label":                {typed("v", 'V'), []string{`"v"`, `type "V"`}},
		"multiple volumes":            {typed("m", 'M'), []string{`"m"`, `type "M"`}},
		"type of a control character": {typed("esc", 0x1b), []string{`"esc"`, `\x1b`}},
		"sparse file, GNU":            {item{name: "s", kind: 'S', body: "x"}, []string{`"s"`, "sparse file"}},
		"sparse file, PAX 1.0": {
			item{name: "s", body: "1\n0\n1\n" + strings.Repeat("\x00", 506) + "x", pax: map[string]string{
				"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "sparse", "GNU.sparse.realsize": "1",
			}}, []string{`"sparse"`, "sparse file"},
		},
		"sparse file, PAX 0.1": {
			item{name: "s", body: "x", pax: map[string]string{
				"GNU.sparse.map": "0,1", "GNU.sparse.size": "1", "GNU.sparse.numblocks": "1",
			}}, []string{`"s"`, "sparse file"},
		},
		"sparse file, unknown version": {
			item{name: "s", body: "x", pax: map[string]string{"GNU.sparse.major": "9"}},
			[]string{`"s"`, "sparse file"},
		},
		"folder with contents": {item{name: "d", kind: '5', size: "00000000001"}, []string{`"d"`, "folder with contents"}},

		"absolute path":                  {regular("/etc/passwd", "x"), []string{`"/etc/passwd"`, "absolute"}},
		"absolute path of a folder":      {dir("/"), []string{`"/"`, "absolute"}},
		"parent first":                   {regular("../x", "x"), []string{`"../x"`, `".."`}},
		"parent in the middle":           {regular("a/../x", "x"), []string{`"a/../x"`, `".."`}},
		"parent last":                    {dir("a/.."), []string{`"a/.."`, `".."`}},
		"parent in an extended header":   {item{name: "x", body: "x", pax: map[string]string{"path": "a/../../x"}}, []string{`"a/../../x"`, `".."`}},
		"parent of a folder":             {dir("../"), []string{`"../"`, `".."`}},
		"backslash":                      {regular(`a\b`, "x"), []string{`"a\\b"`, "backslash"}},
		"line feed":                      {regular("a\nb", "x"), []string{`"a\nb"`, "control"}},
		"delete":                         {regular("a\x7fb", "x"), []string{`"a\x7fb"`, "control"}},
		"control character beyond ASCII": {item{name: "x", body: "x", pax: map[string]string{"path": "a\u0085b"}}, []string{`"a\u0085b"`, "control"}},
		"NUL":                            {item{name: "x", body: "x", pax: map[string]string{"path": "a\x00b"}}, []string{"layer 1"}},
		"invalid UTF-8":                  {regular("a\xffb", "x"), []string{`"a\xffb"`, "UTF-8"}},
		"no name":                        {regular("", "x"), []string{`""`, "name"}},
		"no name of a folder":            {dir(""), []string{`""`, "expected a name, found none"}},
		"long element":                   {item{name: "x", body: "x", pax: map[string]string{"path": "a/" + long}}, []string{"255", "256"}},
		"long path":                      {item{name: "x", body: "x", pax: map[string]string{"path": deep}}, []string{"1024", "1025"}},
		"very long path":                 {item{name: "x", body: "x", pax: map[string]string{"path": strings.Repeat("\u0300", 100_000)}}, []string{"(200000 bytes)"}},
		"file with a slash at the end":   {item{name: "a/", body: "x", kind: '0'}, []string{`"a/"`, "folder"}},
		"file with a dot at the end":     {item{name: "a/.", body: "x", kind: '0'}, []string{`"a/."`, "folder"}},
		"file at the root":               {regular(".", "x"), []string{`"."`, "folder"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			refuse(t, Limits{}, [][]byte{layer(regular("good", "x"), c.entry)}, ReasonArtifactInvalid,
				append(slices.Clone(c.mentions), "layer 1")...)
		})
	}
}

func TestPublishRefusesTrees(t *testing.T) {
	cases := map[string]struct {
		layers   [][]byte
		mentions []string
	}{
		"no layer":               {nil, []string{"at least one file"}},
		"no file":                {[][]byte{layer(), layer(dir("a/"))}, []string{"at least one file", "2"}},
		"path twice":             {[][]byte{layer(regular("a", "1"), regular("a", "1"))}, []string{`"a"`, "twice"}},
		"path twice, spelt anew": {[][]byte{layer(regular("a", "1"), regular("./a", "2"))}, []string{`"a"`, "twice"}},
		"folder twice":           {[][]byte{layer(dir("d/"), regular("d/a", "1"), dir("d"))}, []string{`"d"`, "twice"}},
		"file, then folder of one layer": {
			[][]byte{layer(regular("a", "1"), dir("a"))}, []string{`"a"`, "twice"},
		},
		"file over a folder": {
			[][]byte{layer(dir("a"), regular("b", "1")), layer(regular("a", "1"))}, []string{`"a"`, "layer 2", "a folder, as in layer 1", "found a file"},
		},
		"folder over a file": {
			[][]byte{layer(regular("a", "1")), layer(dir("a"))}, []string{`"a"`, "layer 2", "a file, as in layer 1", "found a folder"},
		},
		"path below a file": {
			[][]byte{layer(regular("a", "1"), regular("a/b/c", "1"))}, []string{`"a/b/c"`, `"a"`},
		},
		"path below a file of an earlier layer": {
			[][]byte{layer(regular("a/b", "1")), layer(regular("a/b/c", "1"))}, []string{"layer 2", `"a/b/c"`, `"a/b"`, "layer 1"},
		},
		"file over a folder that is only implied": {
			[][]byte{layer(regular("a/b", "1"), regular("a", "1"))}, []string{`"a/b"`, `"a"`},
		},
		"file over an implied folder of an earlier layer": {
			[][]byte{layer(regular("a/b/c", "1")), layer(regular("a/b", "1"))}, []string{`"a/b/c"`, `"a/b"`},
		},
		"folder below a file": {
			[][]byte{layer(regular("a", "1"), dir("a/b"))}, []string{`"a/b"`, `"a"`},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			refuse(t, Limits{}, c.layers, ReasonArtifactInvalid, c.mentions...)
		})
	}
}

func TestPublishRefusesStreams(t *testing.T) {
	good := layer(regular("a", "1"))
	whole := tarOf(regular("a", "1"))
	cases := map[string]struct {
		layer    []byte
		mentions []string
	}{
		"nothing":                           {nil, []string{"cut short"}},
		"not gzip":                          {whole, []string{"gzip"}},
		"gzip of something else":            {zip([]byte(strings.Repeat("no tar ", 200))), []string{"tar"}},
		"gzip cut short":                    {good[:len(good)-9], []string{"cut short"}},
		"gzip trailer cut short":            {good[:len(good)-1], []string{"cut short"}},
		"tar cut short in a header":         {zip(whole[:300]), []string{"cut short"}},
		"tar cut short in a file":           {zip(whole[:512]), []string{"cut short"}},
		"wrong checksum":                    {flipped(good, 8), []string{"checksum"}},
		"wrong length":                      {flipped(good, 4), []string{"checksum"}},
		"bytes after the tar stream":        {zip(append(slices.Clone(whole), "x"...)), []string{"zeros", "other bytes"}},
		"bytes after more padding":          {zip(append(append(slices.Clone(whole), make([]byte, 200_000)...), 1)), []string{"zeros", "other bytes"}},
		"a second tar stream":               {zip(append(slices.Clone(whole), whole...)), []string{"zeros", "other bytes"}},
		"entry after a single zero block":   {zip(append(append(regular("a", "1").raw(), make([]byte, 512)...), whole...)), []string{"tar"}},
		"a second gzip member":              {append(slices.Clone(good), good...), []string{"one gzip stream", "more bytes"}},
		"a second gzip member of nothing":   {append(slices.Clone(good), zip(nil)...), []string{"one gzip stream", "more bytes"}},
		"the tar stream in two members":     {append(zip(whole[:512]), zip(whole[512:])...), []string{"cut short"}},
		"the padding in a member":           {append(slices.Clone(good), zip(make([]byte, 512))...), []string{"one gzip stream", "more bytes"}},
		"a byte after gzip":                 {append(slices.Clone(good), 'x'), []string{"one gzip stream", "more bytes"}},
		"a zero after gzip":                 {append(slices.Clone(good), 0), []string{"one gzip stream", "more bytes"}},
		"a negative size":                   {layer(item{name: "a", size: "-0000000001"}), []string{"tar"}},
		"a size that is no number":          {layer(item{name: "a", size: "zzzzzzzzzzz"}), []string{"tar"}},
		"a global header with a path":       {layer(item{name: "g", kind: 'g', body: record("path", "evil")}, regular("a", "1")), []string{"global header", `"path"`}},
		"a global header with a size":       {layer(item{name: "g", kind: 'g', body: record("size", "1")}, regular("a", "1")), []string{"global header", `"size"`}},
		"a global header with a link":       {layer(item{name: "g", kind: 'g', body: record("linkpath", "x")}, regular("a", "1")), []string{"global header", `"linkpath"`}},
		"a global header of sparse files":   {layer(item{name: "g", kind: 'g', body: record("GNU.sparse.name", "x")}, regular("a", "1")), []string{"global header", `"GNU.sparse.name"`}},
		"an extended header without length": {layer(item{name: "x", kind: 'x', body: "path=x\n"}, regular("a", "1")), []string{"tar"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			refuse(t, Limits{}, [][]byte{c.layer}, ReasonArtifactInvalid, append(slices.Clone(c.mentions), "layer 1")...)
			// Wherever it stands.
			refuse(t, Limits{}, [][]byte{good, c.layer}, ReasonArtifactInvalid, append(slices.Clone(c.mentions), "layer 2")...)
		})
	}
}
