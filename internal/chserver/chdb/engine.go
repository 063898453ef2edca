// Package chdb is the engine process: it loads libchdb and lets it serve the native protocol until it is
// told to stop. A program that imports this package cannot be linked statically.
//
//	supervisor ──SIGTERM──► Main ──close──► fifo ──end of file──► SELECT ends ─► the engine stops
//
// Invariants: one engine per process; the process ends with it; 0 means that it was asked to stop and
// its tables are on disk.
package chdb

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/redlane/redlane/internal/chserver"
)

// Main runs the engine that the environment orders and returns true and the exit status. It returns false
// when this process was not started as an engine. Its one complaint goes to complaints.
func Main(complaints io.Writer) (status int, engine bool) {
	order, engine, err := chserver.ReadOrder()
	if !engine {
		return 0, false
	}
	if err == nil {
		err = serve(order)
	}
	if err != nil {
		fmt.Fprintln(complaints, strings.ReplaceAll(err.Error(), "\n", " "))
		return 1, true
	}
	return 0, true
}

// serve blocks until a SIGTERM has stopped the engine.
func serve(order chserver.Order) error {
	lib, err := load(order.Library)
	if err != nil {
		return err
	}
	// Reading and writing: opening does not wait for a peer, and the fifo has a writer until we close it.
	fifo, err := os.OpenFile(order.Fifo, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer fifo.Close()
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	lib.handleSignals(0) // they are ours

	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the engine keeps state in thread-local storage
		done <- lib.run(arguments(order))
	}()
	select {
	case err := <-done:
		if err == nil {
			err = errors.New("the engine ended by itself")
		}
		return err
	case <-asked:
		fifo.Close()
		return <-done
	}
}

// arguments are those of clickhouse-local. The last query reads a fifo that nobody writes to: the engine
// serves for exactly as long as the fifo has a writer, and a query without an end cannot time out.
func arguments(order chserver.Order) []string {
	args := []string{"clickhouse"}
	if order.Config != "" {
		args = append(args, "--config-file="+order.Config)
	}
	return append(args,
		"--path="+order.Data,
		"--tcp_port="+strconv.Itoa(order.Port),
		"--listen_host=127.0.0.1",
		"--multiquery",
		"--query",
		"SYSTEM START LISTEN TCP; "+
			"SELECT * FROM file('"+order.Fifo+"', 'LineAsString', 'line String') FORMAT Null SETTINGS max_execution_time = 0; "+
			"SYSTEM STOP LISTEN TCP",
	)
}

type library struct {
	cmdline       func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	resultError   func(result unsafe.Pointer) string
	handleSignals func(enabled int32)
}

func load(path string) (*library, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load library: %w", err)
	}
	lib := new(library)
	for name, f := range map[string]any{
		"chdb_query_cmdline":               &lib.cmdline,
		"chdb_result_error":                &lib.resultError,
		"chdb_set_signal_handlers_enabled": &lib.handleSignals,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("load library %s: it has no %s: want libchdb 26.7", path, name)
		}
		purego.RegisterFunc(f, symbol)
	}
	return lib, nil
}

func (lib *library) run(args []string) error {
	argv := make([]*byte, 0, len(args)+1)
	for _, arg := range args {
		argv = append(argv, unsafe.StringData(arg+"\x00"))
	}
	argv = append(argv, nil)
	result := lib.cmdline(int32(len(args)), unsafe.Pointer(&argv[0]))
	runtime.KeepAlive(argv)
	if result == nil {
		return errors.New("the engine gave no result")
	}
	if complaint := lib.resultError(result); complaint != "" {
		return errors.New(complaint)
	}
	return nil
}
