package story

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/controlplane"
	"github.com/assay-dev/assay/test/registry"
)

// The control plane that the tests of this package share. Each test has a
// namespace, a registry and a controller of its own.
var (
	kubeconfig *rest.Config
	kube       client.Client

	kubeTransport http.RoundTripper
)

// parallel is how many stories are told at the same time, where the command line
// asks for fewer: most of a story is waiting.
const parallel = 8

func TestMain(m *testing.M) {
	flag.Parse()
	if n, err := strconv.Atoi(flag.Lookup("test.parallel").Value.String()); err == nil && n < parallel {
		if err := flag.Set("test.parallel", strconv.Itoa(parallel)); err != nil {
			panic(err)
		}
	}
	code := run(m)
	if code == 0 {
		code = leaks()
	}
	os.Exit(code)
}

// leaks complains about goroutines that outlive the tests, their controllers and
// the control plane.
func leaks() int {
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	utilnet.CloseIdleConnectionsFor(kubeTransport)
	err := goleak.Find(
		goleak.IgnoreTopFunction(registry.DistributionGoroutine),
		// client-go's metadata client filters its watches in a goroutine that does
		// not hear when the watch is stopped while it has an event to pass on: at
		// the end of a controller, one for each watch.
		goleak.IgnoreTopFunction("k8s.io/apimachinery/pkg/watch.(*filteredWatch).loop"),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "goroutines that nobody ended:", err)
		return 1
	}
	return 0
}

func run(m *testing.M) int {
	env, err := controlplane.Start(os.Stderr, func(env *envtest.Environment) {
		// By default it is the address of the default route, and TestNoNetwork
		// has none.
		env.ControlPlane.GetAPIServer().Configure().Set("advertise-address", "127.0.0.1")
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the control plane:", err)
		}
	}()
	defer removeBuilt()
	defer closeStack()
	kubeconfig = env.Config
	httpClient, err := rest.HTTPClientFor(kubeconfig)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	kubeTransport = httpClient.Transport
	kube, err = client.New(kubeconfig, client.Options{Scheme: controllers.NewScheme(), HTTPClient: httpClient})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

var background = context.Background()
