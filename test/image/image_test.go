package image

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/assay-dev/assay/hack/image/dockerfile"
	testregistry "github.com/assay-dev/assay/test/registry"
)

// entry is a file of an image, without its content.
type entry struct {
	Mode     int64
	UID, GID int
	Type     byte
}

// files are an image's, layer after layer, and their content.
func files(t *testing.T, image v1.Image) (map[string]entry, map[string][]byte) {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	entries, content := map[string]entry{}, map[string][]byte{}
	for _, layer := range layers {
		archive, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for r := tar.NewReader(archive); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if !h.ModTime.Equal(arguments.Created) {
				t.Errorf("%s: expected the time %s, found %s", h.Name, arguments.Created, h.ModTime)
			}
			entries[h.Name] = entry{h.Mode, h.Uid, h.Gid, h.Typeflag}
			if content[h.Name], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		_ = archive.Close()
	}
	return entries, content
}

// TestHoldsOneProgram: no shell, no library, nothing else; and it says what it is.
func TestHoldsOneProgram(t *testing.T) {
	labels := map[string]string{
		"org.opencontainers.image.title":    "assay-controller",
		"org.opencontainers.image.source":   "https://github.com/assay-dev/assay",
		"org.opencontainers.image.licenses": "Apache-2.0",
		"org.opencontainers.image.version":  arguments.Version,
		"org.opencontainers.image.revision": arguments.Revision,
	}
	index := made(t)
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(labels, manifest.Annotations); diff != "" || manifest.MediaType != types.OCIImageIndex {
		t.Errorf("%s (-want +got):\n%s", manifest.MediaType, diff)
	}
	found := images(t, index)
	for platform, machine := range map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64} {
		image := found[platform]
		if image == nil || len(found) != 2 {
			t.Fatalf("expected both platforms, found %v", found)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v1.Config{
			User: "65532:65532", Entrypoint: []string{"/assay-controller"}, WorkingDir: "/", Labels: labels,
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		}, config.Config); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", platform, diff)
		}
		if got := config.OS + "/" + config.Architecture; got != platform || !config.Created.Equal(arguments.Created) {
			t.Errorf("expected %s of %s, found %s of %s", platform, arguments.Created, got, config.Created)
		}
		m, err := image.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(labels, m.Annotations); diff != "" || m.MediaType != types.OCIManifestSchema1 || m.Config.MediaType != types.OCIConfigJSON {
			t.Errorf("%s: %s, %s (-want +got):\n%s", platform, m.MediaType, m.Config.MediaType, diff)
		}
		entries, content := files(t, image)
		if diff := cmp.Diff(map[string]entry{
			"etc/":             {0o755, 0, 0, tar.TypeDir},
			"etc/passwd":       {0o444, 0, 0, tar.TypeReg},
			"assay-controller": {0o555, 0, 0, tar.TypeReg},
		}, entries); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", platform, diff)
		}
		if !strings.Contains(string(content["etc/passwd"]), "nonroot:x:65532:65532:") {
			t.Errorf("expected the user, found %s", content["etc/passwd"])
		}
		program, err := elf.NewFile(bytes.NewReader(content["assay-controller"]))
		if err != nil {
			t.Fatal(err)
		}
		if libraries, _ := program.ImportedLibraries(); program.Machine != machine || len(libraries) > 0 || program.Section(".interp") != nil {
			t.Errorf("%s: expected a static program, found %s with %v", platform, program.Machine, libraries)
		}
	}
}

// TestIsTheSameEachTime makes it in two folders at two times.
func TestIsTheSameEachTime(t *testing.T) {
	again, err := recipe(t).Index(t.Context(), t.TempDir(), arguments)
	if err != nil {
		t.Fatal(err)
	}
	first, err := made(t).Digest()
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if first != second {
		t.Errorf("expected the same image, found %s and %s", first, second)
	}
}

// TestGoesThroughARegistry takes make image through, to a registry and back.
func TestGoesThroughARegistry(t *testing.T) {
	server, err := testregistry.Distribution(testregistry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	program, folder := tool(t), filepath.Join(t.TempDir(), "dist", "image")
	digest := command(t, program, "build", "-version", arguments.Version, "-revision", arguments.Revision, "-epoch", fmt.Sprint(arguments.Created.Unix()), folder)
	if want, err := made(t).Digest(); err != nil || want.String() != digest {
		t.Errorf("expected %s, found %s, %v", want, digest, err)
	}
	if path, err := layout.FromPath(folder); err != nil {
		t.Error(err)
	} else if _, err := path.ImageIndex(); err != nil {
		t.Error(err)
	}
	reference := server.Host() + "/assay-controller:" + arguments.Version
	for _, args := range [][]string{
		{"push", folder, server.Host() + "/assay-controller"},
		{"tag", server.Host() + "/assay-controller@" + digest, arguments.Version},
	} {
		if pushed := command(t, program, args...); pushed != digest {
			t.Errorf("%q: expected %s, found %s", args, digest, pushed)
		}
	}
	tag, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Index(tag)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pulled.Digest(); err != nil || got.String() != digest {
		t.Errorf("expected %s, found %s, %v", digest, got, err)
	}
	if err := validate.Index(pulled); err != nil {
		t.Error(err)
	}
	for _, platform := range dockerfile.Platforms {
		if _, err := remote.Image(tag, remote.WithPlatform(platform)); err != nil {
			t.Errorf("%s: %v", platform, err)
		}
	}
}

// TestToolRefuses: nothing is guessed.
func TestToolRefuses(t *testing.T) {
	program := tool(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "expected build, program, push, attach or tag"},
		{[]string{"build", "-version", "v1", "folder"}, "expected -version, -revision and a folder"},
		{[]string{"push", "folder"}, "push: expected a layout and a repository"},
		{[]string{"push", "folder", "assay"}, "strict validation requires the registry"},
		{[]string{"tag", "127.0.0.1:1/assay:v1", "v1"}, "a digest must contain exactly one '@' separator"},
		{[]string{"program", "folder"}, "program: expected a layout, a platform and a file"},
		{[]string{"attach", "file"}, "attach: expected a file and a reference by digest"},
	} {
		cmd := exec.Command(program, c.args...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%q: expected %q, found %s", c.args, c.want, out)
		}
	}
}

// tool builds hack/image.
func tool(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "image")
	cmd := exec.Command("go", "build", "-o", program, "./hack/image")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// command runs a program in the work tree and returns what it prints.
func command(t *testing.T, program string, args ...string) string {
	t.Helper()
	var problem bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stderr = root, &problem
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", args, err, problem.String())
	}
	return strings.TrimSpace(string(out))
}

// TestContextHoldsWhatTheBuildNeeds: no file is missing, and no folder is there
// that nobody needs.
func TestContextHoldsWhatTheBuildNeeds(t *testing.T) {
	r := recipe(t)
	// One line for each file of this module's packages, embedded ones too.
	list := exec.Command("go", "list", "-deps", "-f", `{{$p := .}}{{with .Module}}{{if .Main}}{{range $p.GoFiles}}{{$p.ImportPath}}/{{.}}
{{end}}{{range $p.EmbedFiles}}{{$p.ImportPath}}/{{.}}
{{end}}{{end}}{{end}}`, ".")
	list.Dir, list.Env = root, append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	needed := map[string]bool{"go.mod": true, "go.sum": true}
	for line := range strings.Lines(string(out)) {
		file := strings.TrimPrefix(strings.TrimSpace(line), "github.com/assay-dev/assay/")
		if file == "" {
			continue
		}
		if r.Ignores(file) {
			t.Errorf(".dockerignore leaves out %s, which the build needs", file)
		}
		if folder, _, inside := strings.Cut(file, "/"); inside {
			needed[folder+"/"] = true
		} else {
			needed["*.go"] = true
		}
	}
	copied := map[string]bool{}
	for _, source := range r.Sources() {
		copied[source] = true
	}
	if diff := cmp.Diff(needed, copied); diff != "" {
		t.Errorf("the Dockerfile copies something else than the build needs (-needed +copied):\n%s", diff)
	}
	for _, file := range []string{"README.md", "main_test.go", ".git/HEAD", "hack/image/main.go", "testdata/modules.txt"} {
		if !r.Ignores(file) {
			t.Errorf("expected .dockerignore to leave out %s", file)
		}
	}
}

func TestIsBuiltWithTheGoOfTheModule(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	from := recipe(t).Compile[0].Args
	want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	found := regexp.MustCompile(`golang:(\d+\.\d+)`).FindStringSubmatch(from)
	if want == nil || found == nil || string(want[1]) != found[1] {
		t.Errorf("expected the Go of go.mod, %s, found %s", want, from)
	}
}

// TestDockerfileIsForBothBuilders holds the second stage, which Docker reads
// without hack/image.
func TestDockerfileIsForBothBuilders(t *testing.T) {
	var names []string
	for _, i := range recipe(t).Ship {
		names = append(names, i.Name)
	}
	if want := []string{"FROM", "COPY", "COPY", "USER", "ENTRYPOINT", "ARG", "ARG", "LABEL"}; !slices.Equal(names, want) {
		t.Errorf("expected %v, found %v", want, names)
	}
}
