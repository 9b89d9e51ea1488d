package story

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/assay-dev/assay/test/controlplane"
	"github.com/assay-dev/assay/test/registry"
)

// builtController builds main.go, once.
var builtController = sync.OnceValues(func() (string, error) {
	root, err := controlplane.Root()
	if err != nil {
		return "", err
	}
	// Not a test's own folder, which would go with the first test.
	folder, err := os.MkdirTemp("", "assay-story-")
	if err != nil {
		return "", err
	}
	builtFolder = folder
	program := filepath.Join(folder, "assay-controller")
	cmd := exec.Command("go", "build", "-o", program, ".")
	cmd.Dir = root
	// Never with the race detector, which would be another build of everything.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the controller: %w\n%s", err, out)
	}
	return program, nil
})

var builtFolder string

// removeBuilt removes what builtController made.
func removeBuilt() {
	if builtFolder != "" {
		_ = os.RemoveAll(builtFolder)
	}
}

// quiet is for servers whose connections are cut on purpose.
var quiet = stdlog.New(io.Discard, "", 0)

// process is the built controller as a process of its own.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed at its end
	log   *lines
}

// lines is what a process writes.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startProcess starts the built controller.
func startProcess(t *testing.T, kubeconfigFile string, args ...string) *process {
	t.Helper()
	program, err := builtController()
	if err != nil {
		t.Fatal(err)
	}
	args = append(args, "--dial-allow=127.0.0.0/8,::1/128")
	p := &process{cmd: exec.Command(program, args...), ended: make(chan struct{}), log: &lines{}}
	p.cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfigFile)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // It is killed.
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the log of the controller with the process id %d:\n%s", p.cmd.Process.Pid, p.log)
		}
	})
	return p
}

// kill ends the process as a machine that dies does, and waits until it is no
// more.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // An error where it has ended.
	<-p.ended
}

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// apiProxy stands between a controller and the API server.
type apiProxy struct {
	host string

	mu        sync.Mutex
	intercept registry.Interceptor
}

// newAPIProxy forwards to the API server of upstream until the test ends.
func newAPIProxy(t *testing.T, upstream *rest.Config) *apiProxy {
	t.Helper()
	target, err := url.Parse(upstream.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(upstream)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // Watches.
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p := &apiProxy{host: listener.Addr().String()}
	server := &http.Server{ReadHeaderTimeout: time.Minute, ErrorLog: quiet, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		intercept := p.intercept
		p.mu.Unlock()
		if intercept == nil {
			forward.ServeHTTP(rw, r)
			return
		}
		intercept(rw, r, forward)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // Fails in the end with ErrServerClosed.
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return p
}

// Intercept puts i before the API server; nil takes it away.
func (p *apiProxy) Intercept(i registry.Interceptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.intercept = i
}

// kubeconfig is a file with which a process reaches the API server through the
// proxy.
func (p *apiProxy) kubeconfig(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: "http://" + p.host}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "u"}},
		CurrentContext: "x",
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// visitor downloads every archive that it hears of, again and again, and
// complains about a body that is complete and not what the address says.
type visitor struct {
	t      *testing.T
	host   string // of the artifact server
	client *http.Client
	stop   chan struct{}
	ended  chan struct{}

	mu    sync.Mutex
	paths map[string]bool // that it was told of
	whole int             // bodies that were right
}

// newVisitor visits host, and all that is in the folder storage, until the test
// ends.
func newVisitor(t *testing.T, host, storage string) *visitor {
	t.Helper()
	v := &visitor{
		t: t, host: host, paths: map[string]bool{}, stop: make(chan struct{}), ended: make(chan struct{}),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience},
	}
	go func() {
		defer close(v.ended)
		for {
			for _, path := range v.known(storage) {
				select {
				case <-v.stop:
					return
				default:
					v.visit(path)
				}
			}
			select {
			case <-v.stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		close(v.stop)
		<-v.ended
	})
	return v
}

// tell names a path that stood in a status.
func (v *visitor) tell(path string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.paths[path] = true
}

// known are the paths of statuses and of the disk.
func (v *visitor) known(storage string) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, file := range filesBelow(storage) {
		if path, err := filepath.Rel(storage, file); err == nil {
			v.paths[path] = true
		}
	}
	paths := make([]string, 0, len(v.paths))
	for path := range v.paths {
		paths = append(paths, path)
	}
	return paths
}

func (v *visitor) visit(path string) {
	response, err := v.client.Get("http://" + v.host + "/" + path)
	if err != nil {
		return // Nobody is there.
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return // Cut off, or not there.
	}
	digest := sha256.Sum256(body)
	if want := hex.EncodeToString(digest[:]) + ".tar.gz"; filepath.Base(path) != want {
		v.t.Errorf("%s was served whole, and is %s", path, want)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.whole++
}

// visits is how many whole and right bodies there were.
func (v *visitor) visits() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.whole
}

// filesBelow are the files below a folder, in which others are at work.
func filesBelow(folder string) []string {
	var files []string
	_ = filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return nil // What is removed meanwhile is not there.
	})
	return files
}

// archivesBelow are those of filesBelow that are archives in their place.
func archivesBelow(folder string) []string {
	var archives []string
	for _, file := range filesBelow(filepath.Join(folder, "modulesource")) {
		if strings.HasSuffix(file, ".tar.gz") {
			archives = append(archives, file)
		}
	}
	return archives
}
