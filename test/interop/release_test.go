package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/assay-dev/assay/test/controlplane"
	"github.com/assay-dev/assay/test/sigstored"
)

// TestRelease runs the shell steps of the release workflow, and then what
// docs/releasing.md tells users to run.
func TestRelease(t *testing.T) {
	needs(t)
	server := startRegistry(t, nil)
	who := stack.GitHub("assay-dev/assay", "release.yaml", "refs/tags/v1.2.3")
	issuer := tokens(t, who)
	root, err := controlplane.Root()
	if err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, append(goEnvironment(t), "GITHUB_ACTIONS=true", "GITHUB_REF_NAME=v1.2.3", "GITHUB_SHA="+strings.Repeat("ab", 20),
		"GITHUB_REPOSITORY=assay-dev/assay", "GITHUB_ACTOR=somebody", "GITHUB_OUTPUT="+filepath.Join(t.TempDir(), "output"), "GITHUB_PATH="+filepath.Join(t.TempDir(), "path"),
		"ACTIONS_ID_TOKEN_REQUEST_URL="+issuer, "ACTIONS_ID_TOKEN_REQUEST_TOKEN="+requestToken,
		// One is enough to see how they are named.
		"PLATFORMS=linux/amd64", "SOURCE_DATE_EPOCH=1700000000")...)
	r.folder = workTree(t, root)
	realGo(t, r)
	var w githubWorkflow
	snippet(t, "../../.github/workflows/release.yaml", &w,
		"ghcr.io/assay-dev/", server.Host()+"/assay-dev/", "${{ secrets.GITHUB_TOKEN }}", "a-password",
		"${{ env.IMAGE }}", "image", "${{ steps.image.outputs.digest }}", "digest")
	out := r.runSteps(t, w)
	if strings.Contains(out, requestToken) || strings.Contains(out, "a-password") {
		t.Errorf("expected no secret, found %s", out)
	}
	if want := "called: gh release create v1.2.3 dist/release/assay_linux_amd64 dist/release/checksums.txt dist/release/install.yaml dist/release/sbom.cdx.json --repo assay-dev/assay"; !strings.Contains(out, want) {
		t.Errorf("expected %q, found %s", want, out)
	}
	digest := wantReleased(t, r, server.Host())
	wantBillOfMaterials(t, r, root)
	wantReferrer(t, server.Host()+"/assay-dev/assay-controller", digest)
	wantDocumented(t, r, root, server.Host(), who)
}

const requestToken = "the-token-of-the-request"

// tokens serves the identity token of a workflow as GitHub does.
func tokens(t *testing.T, who sigstored.Person) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("audience") != "sigstore" || r.Header.Get("Authorization") != "bearer "+requestToken {
			http.Error(w, "{}", http.StatusUnauthorized)
			return
		}
		made, err := stack.Token(who)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, `{"value":%q}`, made)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/?api-version=2"
}

// goEnvironment is what the Go command needs in another home.
func goEnvironment(t *testing.T) []string {
	t.Helper()
	var env []string
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOFLAGS", "GOTOOLCHAIN"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	return env
}

// realGo puts the Go command where others only say what they are called with.
func realGo(t *testing.T, r runner) {
	t.Helper()
	program, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(r.bin, "go")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(r.bin, "go")); err != nil {
		t.Fatal(err)
	}
}

// workTree is a copy of the work tree without what is built.
func workTree(t *testing.T, root string) string {
	t.Helper()
	folder := t.TempDir()
	list := exec.Command("git", "ls-files", "-co", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSpace(name)
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(folder, name), string(content))
		if info, err := os.Stat(filepath.Join(root, name)); err != nil || os.Chmod(filepath.Join(folder, name), info.Mode()) != nil {
			t.Fatal(name, err)
		}
	}
	return folder
}

// wantReleased wants the install file to name the image that is tagged.
func wantReleased(t *testing.T, r runner, host string) string {
	t.Helper()
	tag, err := name.NewTag(host + "/assay-dev/assay-controller:v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(tag)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	install, err := os.ReadFile(filepath.Join(r.folder, "dist", "release", "install.yaml"))
	if err != nil || !strings.Contains(string(install), digest.String()) {
		t.Errorf("expected the install file to name %s, found %v", digest, err)
	}
	if code, out := r.run(t, "cd dist/release && sha256sum --check --strict checksums.txt", nil); code != 0 || strings.Count(out, "OK") != 3 {
		t.Errorf("expected the sums of 3 files, found %s", out)
	}
	return digest.String()
}

// wantBillOfMaterials wants it to list the modules that the controller is built
// of, each with its version.
func wantBillOfMaterials(t *testing.T, r runner, root string) {
	t.Helper()
	var bom struct {
		BOMFormat string
		Metadata  struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version, PURL string }
	}
	raw, err := os.ReadFile(filepath.Join(r.folder, "dist", "sbom.cdx.json"))
	if err == nil {
		err = json.Unmarshal(raw, &bom)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := bom.Metadata.Component; bom.BOMFormat != "CycloneDX" || got.Name != "github.com/assay-dev/assay" || got.Version != "v1.2.3" {
		t.Errorf("expected a CycloneDX of assay v1.2.3, found %+v", got)
	}
	names := []string{bom.Metadata.Component.Name}
	for _, c := range bom.Components {
		if c.Version == "" || !strings.HasPrefix(c.PURL, "pkg:golang/") {
			t.Errorf("expected a version and a package URL, found %+v", c)
		}
		if c.Name != "std" {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	listed, err := os.ReadFile(filepath.Join(root, "testdata", "modules.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Fields(string(listed)); !slices.Equal(names, want) {
		t.Errorf("expected the modules of testdata/modules.txt\n%v\nfound\n%v", want, names)
	}
}

// wantReferrer wants the bill of materials to be found at the image, and signed.
func wantReferrer(t *testing.T, repository, digest string) {
	t.Helper()
	image, err := name.NewDigest(repository + "@" + digest)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Referrers(image)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range manifest.Manifests {
		if d.ArtifactType == "application/vnd.cyclonedx+json" {
			signatures, err := remote.Referrers(image.Digest(d.Digest.String()))
			if err != nil {
				t.Fatal(err)
			}
			if m, err := signatures.IndexManifest(); err != nil || len(m.Manifests) == 0 {
				t.Errorf("expected the bill of materials to be signed, found %v", err)
			}
			return
		}
	}
	t.Errorf("expected a bill of materials at %s, found %+v", image, manifest.Manifests)
}

// wantDocumented runs the commands of docs/releasing.md, which must accept the
// release, and refuse it as another tag's.
func wantDocumented(t *testing.T, r runner, root, host string, who sigstored.Person) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "releasing.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 3 {
		t.Fatalf("expected 3 ways to verify, found %d", len(blocks))
	}
	functions := "assay() { " + program + " \"$@\" --insecure --trusted-root " + stack.TrustedRoot + "; }\n" +
		"kubectl() { test -s \"$4\" && grep -q \"kind: CustomResourceDefinition\" \"$4\"; }\n" +
		"cosign() { command=$1; shift; " + strings.Join(stack.Command(t.Context(), sigstored.Cosign3).Args, " ") + " \"$command\" --allow-http-registry --trusted-root " + stack.TrustedRoot + " \"$@\"; }\n"
	for _, block := range blocks {
		script := strings.NewReplacer("ghcr.io/assay-dev/", host+"/assay-dev/", "https://token.actions.githubusercontent.com", who.Identity.Issuer).Replace(block[1])
		if code, out := r.run(t, functions+script, nil); code != 0 {
			t.Errorf("expected exit 0, found %d: %s%s", code, script, out)
		}
		other := strings.ReplaceAll(script, "refs/tags/v1.2.3", "refs/tags/v1.2.4")
		if code, _ := r.run(t, functions+strings.ReplaceAll(other, "./assay-install", "./other"), nil); code == 0 {
			t.Errorf("expected it to be refused: %s", other)
		}
	}
}
