package deploy

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const imageVersion = "v0.0.0-test"

// instruction is one of a Dockerfile, with its continuation lines.
type instruction struct{ name, args string }

func (i instruction) fields() []string { return strings.Fields(i.args) }

// stages reads the Dockerfile: a builder, and what is shipped.
func stages() (build, ship []instruction, err error) {
	raw, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		return nil, nil, err
	}
	var all [][]instruction
	text := strings.ReplaceAll(string(raw), "\\\n", " ")
	for line := range strings.Lines(text) {
		name, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		if name == "FROM" {
			all = append(all, nil)
		}
		last := len(all) - 1
		all[last] = append(all[last], instruction{name, args})
	}
	if len(all) != 2 {
		return nil, nil, fmt.Errorf("expected 2 stages in the Dockerfile, found %d", len(all))
	}
	return all[0], all[1], nil
}

// sources are what a stage copies from the repository.
func sources(stage []instruction) []string {
	var list []string
	for _, i := range stage {
		if fields := i.fields(); i.name == "COPY" && !strings.HasPrefix(i.args, "--from=") {
			for _, source := range fields[:len(fields)-1] {
				list = append(list, strings.TrimSuffix(source, "/"))
			}
		}
	}
	return list
}

// builtImage runs the Dockerfile's first stage without a container, once, and
// returns the program that it makes. It gets the files that are copied there,
// and no others.
func builtImage(t *testing.T) string {
	t.Helper()
	program, err := builtOnce()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var builtOnce = sync.OnceValues(func() (string, error) {
	build, ship, err := stages()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(scratch, "image")
	if err := copyContext(folder, sources(build)); err != nil {
		return "", err
	}
	// The only RUN beside it downloads what go build would download.
	compile := slices.IndexFunc(build, func(i instruction) bool { return i.name == "RUN" && strings.Contains(i.args, "go build") })
	if compile < 0 {
		return "", fmt.Errorf("the Dockerfile builds nothing: %v", build)
	}
	cmd := exec.Command("sh", "-euc", build[compile].args)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOWORK=off", "TARGETOS="+runtime.GOOS, "TARGETARCH="+runtime.GOARCH, "VERSION="+imageVersion)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", build[compile].args, err, out)
	}
	from, err := shipped(build, ship)
	return filepath.Join(folder, from), err
})

// shipped is the path of the program in the builder, from its WORKDIR.
func shipped(build, ship []instruction) (string, error) {
	workdir := build[slices.IndexFunc(build, func(i instruction) bool { return i.name == "WORKDIR" })].args
	for _, i := range ship {
		if fields := i.fields(); i.name == "COPY" && fields[0] == "--from=build" {
			return filepath.Rel(workdir, fields[1])
		}
	}
	return "", fmt.Errorf("the Dockerfile ships nothing: %v", ship)
}

// copyContext copies files and folders of the repository, but for what
// .dockerignore leaves out.
func copyContext(to string, sources []string) error {
	ignore, err := dockerignore()
	if err != nil {
		return err
	}
	from := os.DirFS(root)
	for _, source := range sources {
		err := fs.WalkDir(from, source, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || ignore(name) {
				return err
			}
			content, err := fs.ReadFile(from, name)
			if err != nil {
				return err
			}
			target := filepath.Join(to, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
				return err
			}
			return os.WriteFile(target, content, 0o600)
		})
		if err != nil {
			return fmt.Errorf("COPY %s: %w", source, err)
		}
	}
	return nil
}

// dockerignore reads .dockerignore, as far as it goes here: "*" is everything,
// "!name" takes a file or folder back, "**/pattern" is any file or folder of
// that name. The last line that matches a file decides.
// https://docs.docker.com/build/concepts/context/#dockerignore-files
func dockerignore() (func(name string) bool, error) {
	raw, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return func(name string) bool {
		ignored := false
		for _, line := range lines {
			if back, ok := strings.CutPrefix(line, "!"); ok {
				if name == back || strings.HasPrefix(name, back+"/") {
					ignored = false
				}
				continue
			}
			if anywhere, ok := strings.CutPrefix(line, "**/"); line == "*" || ok && slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool {
				matched, _ := path.Match(anywhere, part)
				return matched
			}) {
				ignored = true
			}
		}
		return ignored
	}, nil
}

func TestImageHoldsWhatTheBuildNeeds(t *testing.T) {
	build, _, err := stages()
	if err != nil {
		t.Fatal(err)
	}
	// One line for each file of this module's packages, embedded ones too.
	list := exec.Command("go", "list", "-deps", "-f", `{{$p := .}}{{with .Module}}{{if .Main}}{{range $p.GoFiles}}{{$p.ImportPath}}/{{.}}
{{end}}{{range $p.EmbedFiles}}{{$p.ImportPath}}/{{.}}
{{end}}{{end}}{{end}}`, ".")
	list.Dir = root
	list.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	ignore, err := dockerignore()
	if err != nil {
		t.Fatal(err)
	}
	needed := map[string]bool{"go.mod": true, "go.sum": true}
	for line := range strings.Lines(string(out)) {
		file := strings.TrimPrefix(strings.TrimSpace(line), "github.com/assay-dev/assay/")
		if file == "" {
			continue
		}
		top, _, _ := strings.Cut(file, "/")
		needed[top] = true
		if ignore(file) {
			t.Errorf(".dockerignore leaves out %s, which the build needs", file)
		}
	}
	copied := map[string]bool{}
	for _, source := range sources(build) {
		copied[source] = true
	}
	if diff := cmp.Diff(needed, copied); diff != "" {
		t.Errorf("the Dockerfile copies something else than the build needs (-needed +copied):\n%s", diff)
	}
}

func TestImageIsBuiltWithTheGoOfTheModule(t *testing.T) {
	build, _, err := stages()
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	found := regexp.MustCompile(`golang:(\d+\.\d+)`).FindStringSubmatch(build[0].args)
	if want == nil || found == nil || string(want[1]) != found[1] {
		t.Errorf("expected the Go of go.mod, %s, found %s", want, build[0].args)
	}
}

func TestImageRunsAsTheDeploymentSays(t *testing.T) {
	_, ship, err := stages()
	if err != nil {
		t.Fatal(err)
	}
	pod := deployment(t).Spec.Template.Spec
	security, container := pod.SecurityContext, pod.Containers[0]
	user := fmt.Sprintf("%d:%d", *security.RunAsUser, *security.RunAsGroup)
	want := []instruction{
		{"FROM", "gcr.io/distroless/static:nonroot"},
		{"COPY", "--from=build /src/bin/assay-controller /assay-controller"},
		{"USER", user},
		{"ENTRYPOINT", `["/assay-controller"]`},
	}
	if diff := cmp.Diff(want, ship, cmp.AllowUnexported(instruction{})); diff != "" {
		t.Errorf("the Dockerfile ships something else (-want +found):\n%s", diff)
	}
	if !strings.HasPrefix(container.Image, "ghcr.io/assay-dev/assay-controller:") || container.Command != nil {
		t.Errorf("expected the entry point of ghcr.io/assay-dev/assay-controller, found %q %q", container.Image, container.Command)
	}
}

func TestImageTellsItsVersion(t *testing.T) {
	out, err := exec.Command(builtImage(t), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "assay-controller " + imageVersion; string(bytes.TrimSpace(out)) != want {
		t.Errorf("expected %q, found %q", want, out)
	}
}
