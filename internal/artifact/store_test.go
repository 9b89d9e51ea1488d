package artifact

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// leftOver lists what is below the root besides the folders that are always
// there.
func leftOver(t testing.TB, s *Store) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(s.dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(s.dir, name)
		if relative = filepath.ToSlash(relative); !slices.Contains([]string{".", tempFolder, s.temp, archiveFolder}, relative) {
			found = append(found, relative)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// plant writes a file below the root.
func plant(t testing.TB, s *Store, name, text string) {
	t.Helper()
	full := filepath.Join(s.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNewStoreRefusesOptions(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		options Options
		mention string
	}{
		"no root":                {Options{}, "Options.Root"},
		"a file as root":         {Options{Root: file}, "root"},
		"a root in a file":       {Options{Root: filepath.Join(file, "x")}, "root"},
		"a negative retention":   {Options{Root: root, Retention: -1}, "Options.Retention"},
		"a negative size":        {Options{Root: root, Limits: Limits{ArchiveBytes: -1}}, "Limits.ArchiveBytes"},
		"a size beyond ustar's":  {Options{Root: root, Limits: Limits{ArchiveBytes: 1 << 33}}, "Limits.ArchiveBytes"},
		"a negative number":      {Options{Root: root, Limits: Limits{Files: -1}}, "Limits.Files"},
		"a number that is large": {Options{Root: root, Limits: Limits{Files: 1 << 31}}, "Limits.Files"},
		"a negative ratio":       {Options{Root: root, Limits: Limits{Ratio: -1}}, "Limits.Ratio"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := NewStore(c.options)
			if err == nil || !strings.Contains(err.Error(), c.mention) {
				t.Errorf("expected an error about %s, found %v", c.mention, err)
			}
			if s != nil {
				t.Error("expected no store")
			}
		})
	}
}

// A process that waits to take over leaves the work of the other alone; when it
// has, it clears what that left.
func TestSweepClearsWhatACrashLeft(t *testing.T) {
	s := newStore(t, Options{})
	published, _ := publish(t, s, owner, layer(regular("a", "1")))
	temp, _, err := s.TempDir() // Never cleaned up.
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(temp, "layer"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := newStore(t, Options{Root: s.dir})
	if _, err := os.Stat(temp); err != nil {
		t.Errorf("expected the temporary folder to be there while the other may be alive, found %v", err)
	}
	own, cleanup, err := again.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	defer cleanup()
	if err := again.Sweep(func(Owner) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(temp); err == nil {
		t.Error("expected the temporary folder to be gone")
	}
	if _, err := os.Stat(own); err != nil {
		t.Errorf("expected its own work to stay, found %v", err)
	}
	// What is not dead after all goes on.
	if publish(t, s, Owner{"modules", "other"}, layer(regular("a", "1"))); s.temp == again.temp {
		t.Error("expected two folders")
	}
	if !again.Holds(owner, published.Path, published.Digest) {
		t.Error("expected the archive to be there still")
	}
}

func TestTempDirsAreApart(t *testing.T) {
	s := newStore(t, Options{})
	one, cleanOne, err := s.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	two, cleanTwo, err := s.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	if one == two || !filepath.IsAbs(one) || !strings.HasPrefix(one, filepath.Join(s.dir, tempFolder)+string(filepath.Separator)) {
		t.Errorf("found %q and %q", one, two)
	}
	plant(t, s, s.relative(one, "layer"), "x")
	cleanOne()
	if diff := cmp.Diff([]string{s.relative(two, "")}, leftOver(t, s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	cleanTwo()
	if left := leftOver(t, s); len(left) > 0 {
		t.Errorf("found %q", left)
	}
}

func TestOwnersAreForgotten(t *testing.T) {
	s := newStore(t, Options{})
	publish(t, s, owner, layer(regular("a", "1")))
	if err := s.Withdraw(owner); err != nil {
		t.Fatal(err)
	}
	s.Holds(owner, owner.archive(strings.Repeat("0", 64)), "sha256:"+strings.Repeat("0", 64))
	if len(s.owners)+len(s.denied)+len(s.checks.files) > 0 {
		t.Errorf("found %v, %v, %v", s.owners, s.denied, s.checks.files)
	}
}

func TestOwnerRefusesUnsafeNames(t *testing.T) {
	cases := map[string]Owner{
		"no namespace":               {"", "name"},
		"no name":                    {"namespace", ""},
		"parent as namespace":        {"..", "name"},
		"parent as name":             {"namespace", ".."},
		"folder itself":              {"namespace", "."},
		"slash in the name":          {"namespace", "a/b"},
		"parent in the name":         {"namespace", "a/../../b"},
		"slash in the namespace":     {"a/b", "name"},
		"dot in the namespace":       {"a.b", "name"},
		"upper case":                 {"namespace", "Name"},
		"backslash":                  {"namespace", `a\b`},
		"NUL":                        {"namespace", "a\x00"},
		"line feed at the end":       {"namespace", "a\n"},
		"empty element":              {"namespace", "a..b"},
		"hyphen first":               {"-a", "name"},
		"hyphen last":                {"namespace", "a-"},
		"long namespace":             {strings.Repeat("a", 64), "name"},
		"long name":                  {"namespace", strings.Repeat("a", 254)},
		"not ASCII":                  {"namespace", "é"},
		"line feed in the namespace": {"a\nb", "name"},
	}
	for name, o := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Options{})
			v, signatures := verified(t)
			layers := layersOnDisk(t, layer(regular("a", "1")))
			digest := "sha256:" + strings.Repeat("0", 64)
			if _, err := s.Publish(v, o, layers, signatures); err == nil {
				t.Error("Publish takes it")
			}
			if _, err := s.Signatures(o, digest); err == nil {
				t.Error("Signatures takes it")
			}
			if err := s.Withdraw(o); err == nil {
				t.Error("Withdraw takes it")
			}
			if s.Holds(o, o.archive(strings.Repeat("0", 64)), digest) {
				t.Error("Holds takes it")
			}
			s.Adopt(o, digest)
			if left := leftOver(t, s); len(left) > 0 || len(s.owners) > 0 {
				t.Errorf("found %q, %v", left, s.owners)
			}
		})
	}
	for _, o := range []Owner{{"a", "a"}, {"0-9", "a.b-c.0"}, {strings.Repeat("a", 63), strings.Repeat("a", 253)}} {
		if err := o.validate(); err != nil {
			t.Error(err)
		}
	}
}

// Not even what is there, and in order, is held for an owner that cannot be.
func TestHoldsRefusesUnsafeOwners(t *testing.T) {
	s := newStore(t, Options{})
	published, _ := publish(t, s, owner, layer(regular("a", "1")))
	unsafe := Owner{Namespace: owner.Namespace, Name: "Upper"}
	if err := os.Rename(filepath.Join(s.dir, owner.folder()), filepath.Join(s.dir, unsafe.folder())); err != nil {
		t.Fatal(err)
	}
	hex, _ := hexOf(published.Digest)
	if s.Holds(unsafe, unsafe.archive(hex), published.Digest) {
		t.Error("expected not to hold it")
	}
}
