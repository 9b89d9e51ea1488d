package story

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/signing"
)

// A process that has this variable runs in a mount namespace of its own, in
// which it may mount, with the whole control plane.
const mountsVariable = "ASSAY_TEST_MOUNTS"

// TestVolume runs TestInsideVolume where it may mount.
func TestVolume(t *testing.T) {
	t.Parallel()
	if os.Getenv(mountsVariable) != "" || os.Getenv(noNetworkVariable) != "" {
		t.Skip("this is a process that such a test started")
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestInsideVolume$", "-test.v", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), mountsVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		t.Skipf("NOT TESTED: this machine lets nobody make a mount namespace: %v", err)
	}
	if strings.Contains(string(out), cannotMount) {
		t.Skipf("NOT TESTED: this machine lets nobody mount a tmpfs:\n%s", out)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInsideVolume") {
		t.Fatalf("expected TestInsideVolume to pass, found %v\n%s", err, out)
	}
}

const cannotMount = "cannot mount here"

// volume is a small file system of the test's own.
type volume struct {
	t      *testing.T
	folder string
}

// newVolume mounts a volume of so many bytes, as an option of tmpfs.
func newVolume(t *testing.T, size string) *volume {
	t.Helper()
	v := &volume{t, filepath.Join(t.TempDir(), "volume")}
	if err := os.Mkdir(v.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", v.folder, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("%s: %v", cannotMount, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(v.folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return v
}

// fill takes all the room there is, and returns what gives it back.
func (v *volume) fill() (empty func()) {
	v.t.Helper()
	name := filepath.Join(v.folder, "filler")
	f, err := os.Create(name)
	if err != nil {
		v.t.Fatal(err)
	}
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		v.t.Fatalf("expected a full volume, found %v", err)
	}
	if err := f.Close(); err != nil {
		v.t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			v.t.Fatal(err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// remount makes the volume read only, or not.
func (v *volume) remount(flags uintptr) {
	v.t.Helper()
	if err := syscall.Mount("", v.folder, "", syscall.MS_REMOUNT|flags, ""); err != nil {
		v.t.Fatal(err)
	}
}

// onVolume is a durable world whose storage is a volume.
func onVolume(t *testing.T) (*world, *volume) {
	t.Helper()
	v := newVolume(t, "4m")
	w := durable(t, settings{options: func(o *controllers.Options) { o.StoragePath = v.folder }})
	w.storage = v.folder
	return w, v
}

// unwritable are the conditions of a published artifact when a newer revision
// cannot be written.
func unwritable() map[string]string {
	return map[string]string{
		"Verified": "True/SignatureVerified", "ArtifactInStorage": "True/ArtifactPublished",
		"FetchFailed": "True/StorageFailed", "Ready": "False/StorageFailed", "Reconciling": "True/Retrying",
	}
}

// TestInsideVolume fills a volume, and makes it read only, under a controller
// that runs.
func TestInsideVolume(t *testing.T) {
	if os.Getenv(mountsVariable) == "" {
		t.Skip("run by TestVolume")
	}
	t.Run("full", func(t *testing.T) {
		w, v := onVolume(t)
		first := w.release("app", "1.0.0", "bundle")
		w.apply("app", w.spec("app", nil))
		w.expect(w.ready("app"), w.released("1.0.0", first))
		empty := v.fill()
		second := w.pushAs("app", "1.1.0", module.Options{Version: "1.1.0", Files: map[string]string{"a": noise(1 << 20)}})
		w.sign("app", second, "bundle", w.key)
		obj := w.poll("app")
		wantConditions(t, obj, unwritable())
		if obj.Status.Artifact.Revision != at("1.0.0", first) {
			t.Errorf("expected 1.0.0 to stay, found %s", describe(obj))
		}
		w.whole("app")
		empty()
		if obj := w.ready("app"); obj.Status.Artifact.Revision != at("1.1.0", second) {
			t.Errorf("expected 1.1.0 to follow by itself, found %s", describe(obj))
		}
		w.whole("app")
		v.fill()
		url := w.get("app").Status.Artifact.URL
		w.edit("app", trusts(inline("release-key", newKey(t, signing.ECDSAP256))))
		wantConditions(t, w.settled("app"), map[string]string{"ArtifactInStorage": "False/ArtifactWithdrawn"})
		w.gone(url)
	})
	t.Run("read only", func(t *testing.T) {
		w, v := onVolume(t)
		first := w.release("app", "1.0.0", "cosign")
		w.apply("app", w.spec("app", nil))
		w.apply("deleted", w.spec("app", nil))
		w.apply("other", w.spec("app", nil))
		url, deleted := w.ready("app").Status.Artifact.URL, w.ready("deleted").Status.Artifact.URL
		w.ready("other")
		v.remount(syscall.MS_RDONLY)
		second := w.release("app", "1.1.0", "cosign")
		obj := w.poll("app")
		wantConditions(t, obj, unwritable())
		if obj.Status.Artifact.Revision != at("1.0.0", first) {
			t.Errorf("expected 1.0.0 to stay, found %s", describe(obj))
		}
		w.whole("app")

		// What loses its trust is not served, although nobody can remove it.
		w.edit("app", trusts(inline("release-key", newKey(t, signing.ECDSAP256))))
		obj = w.settled("app")
		wantConditions(t, obj, map[string]string{"ArtifactInStorage": "False/ArtifactWithdrawn"})
		w.gone(url)
		w.delete(object(w, "deleted"))
		w.awaitThat("what was deleted is not served", func() bool { code, _ := download(t, deleted); return code == http.StatusNotFound })
		w.whole("other")
		w.edit("app", trusts(inline("release-key", w.key)))
		wantConditions(t, w.settled("app"), map[string]string{"ArtifactInStorage": "False/ArtifactWithdrawn", "FetchFailed": "True/StorageFailed"})
		w.gone(url)
		if n := len(archivesBelow(w.storage)); n != 3 {
			t.Errorf("the test is blind: expected 3 archives on the volume, found %d", n)
		}

		// A new process does not start there, and so serves nothing.
		w.stopController()
		o := controllers.Options{
			StoragePath: w.storage, StorageAddr: "127.0.0.1:0", MetricsAddr: "0", HealthAddr: "0", WatchNamespaces: []string{w.namespace},
			ArtifactLimits: controllers.DefaultArtifactLimits,
		}
		if err := controllers.Run(context.Background(), kubeconfig, o); err == nil || !strings.Contains(err.Error(), "--storage-path") {
			t.Errorf("expected the folder to be named, found %v", err)
		}
		v.remount(0)
		w.start()
		if obj := w.ready("app"); obj.Status.Artifact.Revision != at("1.1.0", second) {
			t.Errorf("expected 1.1.0, found %s", describe(obj))
		}
		w.whole("app")
		w.gone(deleted)
	})
	t.Run("read only, and well again", func(t *testing.T) {
		w, v := onVolume(t)
		w.release("app", "1.0.0", "cosign")
		w.apply("app", w.spec("app", nil))
		w.ready("app")
		v.remount(syscall.MS_RDONLY)
		w.edit("app", trusts(inline("release-key", newKey(t, signing.ECDSAP256))))
		wantConditions(t, w.settled("app"), map[string]string{"ArtifactInStorage": "False/ArtifactWithdrawn"})
		v.remount(0)
		w.awaitThat("the files go without a poll", func() bool { return len(archivesBelow(w.storage)) == 0 })
		w.edit("app", trusts(inline("release-key", w.key)))
		w.ready("app")
		w.whole("app")
	})
}
