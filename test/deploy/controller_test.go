package deploy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// controller is the Deployment's container, running.
type controller struct {
	*pod
	name    string // of its Pod, where there is one
	process *exec.Cmd
	started time.Time
	log     *logLines
	ended   chan struct{} // closed at its end, and then problem is what it ended with
	problem error
}

// start starts the controller with the Deployment's arguments and environment,
// and waits until it is ready.
func start(t *testing.T, env ...string) *controller {
	t.Helper()
	awaitRights(t)
	await(t, "ModuleSources are served", func() error { return kube.List(background, &v1alpha1.ModuleSourceList{}) })
	c := launch(t, own(), env...)
	await(t, "the controller is ready", c.ready)
	return c
}

// launch starts the controller and waits for nothing.
func launch(t *testing.T, of home, env ...string) *controller {
	t.Helper()
	p := newPod(t, of)
	c := &controller{pod: p, log: &logLines{}, ended: make(chan struct{})}
	c.process = exec.Command(builtImage(t), p.args...)
	c.process.Dir = t.TempDir()
	c.process.Env = append(append(p.env, env...),
		"KUBECONFIG="+serviceAccountKubeconfig(t, of.namespace),
		// The root file system is read only, so there is nowhere else to
		// write than the volume.
		"TMPDIR="+filepath.Join(c.process.Dir, "none"))
	c.process.Stdout, c.process.Stderr = c.log, c.log
	if err := c.process.Start(); err != nil {
		t.Fatal(err)
	}
	c.started = time.Now()
	go func() {
		c.problem = c.process.Wait()
		close(c.ended)
	}()
	t.Cleanup(func() {
		_ = c.process.Process.Kill() // An error where it has ended.
		<-c.ended
		if t.Failed() {
			t.Logf("the log of the controller at %s:\n%s", c.ip, c.log.String())
		}
	})
	return c
}

// ready is what the kubelet asks before it calls the Pod ready.
func (c *controller) ready() error {
	select {
	case <-c.ended:
		return fmt.Errorf("the controller ended: %w", c.problem)
	default:
		return errors.Join(c.probe(c.container.StartupProbe), c.probe(c.container.LivenessProbe), c.probe(c.container.ReadinessProbe))
	}
}

// busy matches the metrics of a controller that is at work or has work to do.
var busy = regexp.MustCompile(`(?m)^(controller_runtime_active_workers|workqueue_depth)\{.*\} [1-9].*$`)

// stop ends the controller once it has nothing to do.
func (c *controller) stop(t *testing.T) {
	t.Helper()
	c.awaitIdle(t)
	c.terminate(t)
}

func (c *controller) awaitIdle(t *testing.T) {
	t.Helper()
	await(t, "the controller has nothing to do", func() error {
		metrics, err := c.metrics()
		if found := busy.Find(metrics); err == nil && found != nil {
			err = errors.New(string(found))
		}
		return err
	})
}

// end ends the controller as the kubelet does, whatever it is doing.
func (c *controller) end(t *testing.T) {
	t.Helper()
	if err := c.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	grace := time.Duration(*c.spec.TerminationGracePeriodSeconds) * time.Second
	select {
	case <-c.ended:
		if c.problem != nil {
			t.Errorf("the controller ended with an error: %v", c.problem)
		}
	case <-time.After(grace):
		t.Fatalf("the controller did not end within %s", grace)
	}
}

// terminate ends the controller, which has done nothing that it should not.
func (c *controller) terminate(t *testing.T) {
	t.Helper()
	c.end(t)
	used := c.process.ProcessState.UserTime() + c.process.ProcessState.SystemTime()
	t.Logf("CPU of the controller at %s: %.1f s in %.0f s", c.ip, used.Seconds(), time.Since(c.started).Seconds())
	c.log.check(t)
	if found, err := os.ReadDir(c.process.Dir); err != nil || len(found) > 0 {
		t.Errorf("expected nothing to be written outside of the volume, found %v, %v", found, err)
	}
}

// metrics are what Prometheus gets.
func (c *controller) metrics() ([]byte, error) {
	code, body, err := get(c.cluster(), "http://"+name+"."+c.namespace+".svc:8080/metrics")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("/metrics answers %d: %s", code, body)
	}
	return body, err
}

// serviceAccountConfig is a client configuration with a token of the
// controller's ServiceAccount and no other rights.
func serviceAccountConfig(t *testing.T, namespace, name string) *rest.Config {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	request := &authenticationv1.TokenRequest{}
	if err := kube.SubResource("token").Create(background, account, request); err != nil {
		t.Fatal(err)
	}
	return &rest.Config{
		Host:            kubeconfig.Host,
		TLSClientConfig: rest.TLSClientConfig{CAData: kubeconfig.CAData},
		BearerToken:     request.Status.Token,
		QPS:             -1,
	}
}

// serviceAccountKubeconfig is the controller's as a file.
func serviceAccountKubeconfig(t *testing.T, in string) string {
	t.Helper()
	config, file := serviceAccountConfig(t, in, deployment(t).Spec.Template.Spec.ServiceAccountName), filepath.Join(t.TempDir(), "kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {Token: config.BearerToken}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "u"}},
		CurrentContext: "x",
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// logLines is what the controller writes.
type logLines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// lostOnPurpose is what controller-runtime says of a Lease that it gives up at
// its end, if that comes a moment before the end of everything else.
const lostOnPurpose = "leader election lost"

// check expects JSON, no error, and nothing that was forbidden.
func (l *logLines) check(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(l.String()) {
		var entry struct{ Level, Msg, Err string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Msg == "" {
			t.Errorf("expected a line of JSON, found %q", line)
		}
		if entry.Level == "ERROR" && entry.Err != lostOnPurpose || strings.Contains(strings.ToLower(line), "forbidden") {
			t.Errorf("the controller complains: %s", line)
		}
	}
}

// memory is what the controller holds in memory now, and the most that it ever
// held; found is false where the operating system does not tell.
func (c *controller) memory(t *testing.T) (now, most resource.Quantity, found bool) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return now, most, false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.process.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimSuffix(strings.TrimSpace(value), " kB") + "Ki"
		switch field {
		case "VmRSS":
			now = resource.MustParse(value)
		case "VmHWM":
			most = resource.MustParse(value)
		}
	}
	return now, most, true
}
