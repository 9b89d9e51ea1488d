package interop

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/assay-dev/assay/test/controlplane"
	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/module"
	testregistry "github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
	"github.com/assay-dev/assay/test/sigstore"
	"github.com/assay-dev/assay/test/sigstored"
)

// githubWorkflow is what is read of a workflow of GitHub Actions.
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
type githubWorkflow struct {
	On          map[string]any `json:"true"` // YAML 1.1 takes on for a boolean.
	Permissions map[string]string
	Jobs        map[string]struct {
		Env   map[string]string
		Steps []struct {
			Name, Uses, Run string
			Env             map[string]string
		}
	}
}

// gitlabJob is what is read of a job of GitLab CI.
// https://docs.gitlab.com/ci/yaml/
type gitlabJob struct {
	Variables    map[string]string
	IDTokens     map[string]struct{ Aud string } `json:"id_tokens"`
	BeforeScript []string                        `json:"before_script"`
	Script       []string
}

// snippet reads a file of docs/ci. GitHub's expressions stand for what they do
// in the tests.
func snippet(t *testing.T, name string, into any, expressions ...string) {
	t.Helper()
	root, err := controlplane.Root()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "docs", "ci", name))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(expressions...).Replace(string(raw))
	if strings.Contains(text, "${{") {
		t.Fatalf("%s: expected no other expression, found one: %s", name, text)
	}
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// runner is a machine of a CI system: a folder with the repository, programs,
// and an environment of its own.
type runner struct {
	folder string
	bin    string // in its PATH
	env    []string
}

// newRunner makes a runner whose assay is the real one, told where the Sigstore
// and the registry of the test are; go, docker and gh only say what they are
// called with.
func newRunner(t *testing.T, env ...string) runner {
	t.Helper()
	folder, bin, home := t.TempDir(), t.TempDir(), t.TempDir()
	told := map[string]string{
		"push":   fmt.Sprintf("--insecure --allow-insecure-credentials --signing-config %s --signature-format bundle --trusted-root %s", config(t, sigstored.Services{Rekor2: true, TSA: true}), stack.TrustedRoot),
		"verify": fmt.Sprintf("--trusted-root %s --dial-allow 127.0.0.0/8", stack.TrustedRoot),
	}
	told["sign"] = told["push"]
	script := "#!/bin/sh\nset -eu\ncase \"$1\" in\n"
	for command, flags := range told {
		script += fmt.Sprintf("%s) exec %s \"$@\" %s;;\n", command, program, flags)
	}
	for name, content := range map[string]string{
		"assay": script + "esac\n", "go": "#!/bin/sh\necho \"called: go $*\"\n", "docker": "#!/bin/sh\ncat >/dev/null\necho \"called: docker $*\"\n",
		"gh": "#!/bin/sh\necho \"called: gh $*\"\n",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range fixtures.Module() {
		writeFile(t, filepath.Join(folder, "module", name), content)
	}
	return runner{folder: folder, bin: bin, env: append([]string{"PATH=" + bin + ":/usr/bin:/bin", "HOME=" + home, "CI=true"}, env...)}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a script as the CI systems do, and returns what it exits with, and
// all that it prints.
func (r runner) run(t *testing.T, script string, env map[string]string) (int, string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "bash", "-e", "-o", "pipefail", "-c", script)
	command.Dir, command.Env = r.folder, r.env
	for name, value := range env {
		command.Env = append(command.Env, name+"="+os.Expand(value, r.value))
	}
	out, err := command.CombinedOutput()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), string(out)
}

// value is a variable of the environment, as GitLab expands it in others.
func (r runner) value(name string) string {
	for _, pair := range r.env {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// wantSigned wants version 1.2.3 to be signed by an identity, and by nobody else.
func wantSigned(t *testing.T, r runner, url string, who sigstore.Identity) {
	t.Helper()
	for subject, want := range map[string]int{who.Subject: 0, who.Subject + "x": 1} {
		script := fmt.Sprintf("%s verify %s --insecure --allow-insecure-credentials --trusted-root %s --version 1.2.3 --certificate-oidc-issuer %s --certificate-identity %s",
			program, url, stack.TrustedRoot, who.Issuer, subject)
		if code, out := r.run(t, script, nil); code != want {
			t.Errorf("%s: expected exit %d, found %d: %s", subject, want, code, out)
		}
	}
}

// startRegistry starts one that asks for what auth says.
func startRegistry(t *testing.T, auth testregistry.Auth) *testregistry.Server {
	t.Helper()
	server, err := testregistry.Distribution(testregistry.Options{Auth: auth})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

const install = "go install github.com/assay-dev/assay/cmd/assay@latest"

// TestGitHubRelease: the workflow signs as itself, by a token that it asks for.
func TestGitHubRelease(t *testing.T) {
	needs(t)
	server := startRegistry(t, nil)
	who := stack.GitHub("my-org/app", "release.yaml", "refs/tags/v1.2.3")
	var w githubWorkflow
	snippet(t, "github-release.yaml", &w,
		"oci://ghcr.io/", "oci://"+server.Host()+"/", "${{ secrets.GITHUB_TOKEN }}", "a-password")
	if w.Permissions["id-token"] != "write" || w.Permissions["packages"] != "write" || w.Permissions["contents"] != "read" {
		t.Errorf("expected the permissions that signing and pushing take, found %v", w.Permissions)
	}
	r := newRunner(t, "GITHUB_ACTIONS=true", "GITHUB_REF_NAME=v1.2.3", "GITHUB_REPOSITORY=My-Org/App", "GITHUB_ACTOR=somebody", "ACTIONS_ID_TOKEN_REQUEST_URL="+tokens(t, who), "ACTIONS_ID_TOKEN_REQUEST_TOKEN="+requestToken)
	out := r.runSteps(t, w)
	for _, want := range []string{"called: " + install, "called: docker login ghcr.io --username somebody --password-stdin"} {
		if !strings.Contains(out, want) {
			t.Errorf("expected %q, found %s", want, out)
		}
	}
	if strings.Contains(out, requestToken) {
		t.Errorf("expected no secret, found %s", out)
	}
	wantSigned(t, r, "oci://"+server.Host()+"/my-org/modules/app", who.Identity)
}

// runSteps runs the steps of the only job of a workflow, which must all succeed.
func (r runner) runSteps(t *testing.T, w githubWorkflow) string {
	t.Helper()
	var all strings.Builder
	for _, job := range w.Jobs {
		for _, step := range job.Steps {
			if step.Run == "" {
				continue
			}
			env := maps.Clone(job.Env)
			if env == nil {
				env = map[string]string{}
			}
			maps.Copy(env, step.Env)
			code, out := r.run(t, step.Run, env)
			if all.WriteString(out); code != 0 {
				t.Fatalf("%s: expected exit 0, found %d: %s", step.Name, code, out)
			}
		}
	}
	return all.String()
}

// TestGitLabRelease: the pipeline signs as itself, by the token that GitLab puts
// into its environment, and logs in with what GitLab gives it.
func TestGitLabRelease(t *testing.T) {
	needs(t)
	server := startRegistry(t, testregistry.BasicAuth{User: "gitlab-ci-token", Password: "a-password"})
	who := stack.GitLab("my-org/app", "refs/tags/v1.2.3")
	var jobs map[string]gitlabJob
	snippet(t, "gitlab-release.yaml", &jobs)
	job := jobs["release-module"]
	if job.IDTokens["SIGSTORE_ID_TOKEN"].Aud != "sigstore" {
		t.Errorf("expected a token for sigstore, found %v", job.IDTokens)
	}
	r := newRunner(t, "GITLAB_CI=true", "CI_COMMIT_TAG=v1.2.3", "CI_REGISTRY="+server.Host(), "CI_REGISTRY_IMAGE="+server.Host()+"/my-org/app",
		"CI_REGISTRY_USER=gitlab-ci-token", "CI_REGISTRY_PASSWORD=a-password", "SIGSTORE_ID_TOKEN="+token(t, who))
	code, out := r.run(t, strings.Join(append(job.BeforeScript, job.Script...), "\n"), job.Variables)
	if code != 0 || !strings.Contains(out, "called: "+install) || strings.Contains(out, "a-password") {
		t.Fatalf("expected exit 0 and no secret, found %d: %s", code, out)
	}
	wantSigned(t, r, "oci://"+server.Host()+"/my-org/app/module", who.Identity)
}

// deploy writes manifests with a module that is signed, and one that is not.
func (r runner) deploy(t *testing.T, server *testregistry.Server, names ...string) {
	t.Helper()
	key, err := signing.NewKey(signing.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		image, err := module.New(module.Options{Version: "1.0.0"})
		if err != nil {
			t.Fatal(err)
		}
		digest, err := module.Push(t.Context(), server.Host()+"/"+name+":1.0.0", image)
		if err != nil {
			t.Fatal(err)
		}
		if name == "signed" {
			if err := signing.SignBundle(t.Context(), server.Host()+"/"+name+"@"+digest, key); err != nil {
				t.Fatal(err)
			}
		}
		writeFile(t, filepath.Join(r.folder, "deploy", name+".yaml"), fmt.Sprintf(`apiVersion: source.assay.dev/v1alpha1
kind: ModuleSource
metadata:
  name: %s
spec:
  url: oci://%s/%s
  version: 1.0.0
  insecure: true
  verify:
    authorities:
    - name: release-key
      key:
        configMapRef:
          name: release-keys
      transparencyLog: Ignore
`, name, server.Host(), name))
	}
	public := strings.ReplaceAll(strings.TrimSpace(string(key.PublicPEM())), "\n", "\n    ")
	writeFile(t, filepath.Join(r.folder, "deploy", "keys.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: release-keys\ndata:\n  cosign.pub: |\n    "+public+"\n")
}

// TestGitHubCheck: a change is green while all is signed, and its lines are
// annotated where something is not.
func TestGitHubCheck(t *testing.T) {
	needs(t)
	server := startRegistry(t, nil)
	var w githubWorkflow
	snippet(t, "github-check.yaml", &w)
	if _, ok := w.On["pull_request"]; !ok || w.Permissions["contents"] != "read" || len(w.Permissions) != 1 {
		t.Errorf("expected a check of pull requests that may read, found %v, %v", w.On, w.Permissions)
	}
	r := newRunner(t, "GITHUB_ACTIONS=true")
	r.deploy(t, server, "signed")
	r.runSteps(t, w)
	r.deploy(t, server, "signed", "unsigned")
	steps := w.Jobs["verify"].Steps
	code, out := r.run(t, steps[len(steps)-1].Run, nil)
	if code != 1 || !strings.Contains(out, "::error file=deploy/unsigned.yaml,line=7,") || !strings.Contains(out, "NoSignature") || strings.Contains(out, "::error file=deploy/signed.yaml") {
		t.Errorf("expected exit 1, and the line of what is not signed, found %d: %s", code, out)
	}
}

// TestGitLabCheck: the report is there whether the job fails or not.
func TestGitLabCheck(t *testing.T) {
	needs(t)
	server := startRegistry(t, nil)
	var jobs map[string]gitlabJob
	snippet(t, "gitlab-check.yaml", &jobs)
	job := jobs["verify-modules"]
	r := newRunner(t, "GITLAB_CI=true")
	for _, tt := range []struct {
		names  []string
		code   int
		report string
	}{
		{[]string{"signed"}, 0, `failures="0"`},
		{[]string{"signed", "unsigned"}, 1, `failures="1"`},
	} {
		r.deploy(t, server, tt.names...)
		code, out := r.run(t, strings.Join(append(job.BeforeScript, job.Script...), "\n"), job.Variables)
		report, err := os.ReadFile(filepath.Join(r.folder, "modules.xml"))
		if err != nil || code != tt.code || !strings.Contains(string(report), tt.report) {
			t.Errorf("%v: expected exit %d and %s, found %d, %v: %s%s", tt.names, tt.code, tt.report, code, err, out, report)
		}
	}
}
