using System.Net.Sockets;
using System.Text;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Operations;

// What a service manager is told (sd_notify(3)), and what it hands over (sd_listen_fds(3)).
public sealed class ServiceTests(ZeroFlowBinary binary)
{
    private static readonly Dictionary<string, string> Passphrase = new() { ["ZEROFLOW_PASSPHRASE"] = "correct horse" };

    [Fact]
    public async Task The_service_manager_is_told_of_each_step_and_fed_its_watchdog()
    {
        using var folder = new TestFolder();
        using var manager = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        manager.Bind(new UnixDomainSocketEndPoint(folder["notify"]));
        var environment = new Dictionary<string, string>(Passphrase)
        {
            ["NOTIFY_SOCKET"] = folder["notify"],
            ["WATCHDOG_USEC"] = "200000",
        };
        int port = FreePorts.Take();
        await using var server = ChildProcess.Start(
            await binary.PathAsync(), Serve(folder, port, "--set", "Tuning:StopTimeout=7s"), environment);

        Assert.Equal("STATUS=Starting: the store is being opened", await NextAsync(manager));
        Assert.Equal(
            $"READY=1\nSTATUS=Ready: clients can attach to 1 export(s) on 127.0.0.1:{port}", await NextAsync(manager));
        for (var beat = 0; beat < 3; beat++) Assert.Equal("WATCHDOG=1", await NextAsync(manager, skipsBeats: false));

        // READY is true when it is said.
        await Tool.RunAsync("nbdinfo", "--size", $"nbd://127.0.0.1:{port}/disk");
        server.Send(Signal.Terminate);

        // 10 s to drain, the 7 s above, and 30 s to close everything.
        Assert.Equal("STOPPING=1\nEXTEND_TIMEOUT_USEC=47000000\nSTATUS=Stopping: the server is stopping", await NextAsync(manager));
        Assert.Equal(0, await server.ExitAsync(TimeSpan.FromSeconds(60)));
    }

    [Fact]
    public async Task The_service_manager_is_told_why_a_start_failed()
    {
        using var folder = new TestFolder();
        using var manager = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        manager.Bind(new UnixDomainSocketEndPoint(folder["notify"]));
        using var taken = new TcpListener(global::System.Net.IPAddress.Loopback, 0);
        taken.Start();
        int port = ((global::System.Net.IPEndPoint)taken.LocalEndpoint).Port;
        await using var server = ChildProcess.Start(
            await binary.PathAsync(), Serve(folder, port),
            new Dictionary<string, string>(Passphrase) { ["NOTIFY_SOCKET"] = folder["notify"] });
        Assert.Equal(1, await server.ExitAsync(TimeSpan.FromSeconds(60)));
        await NextAsync(manager);
        var last = await NextAsync(manager);
        Assert.DoesNotContain("READY=1", last, StringComparison.Ordinal);
        Assert.Contains($"STATUS=Failed: The NBD server cannot listen on 127.0.0.1:{port}: it is already in use.", last, StringComparison.Ordinal);
    }

    // The first client makes systemd's own program start the server, and is served.
    [Theory]
    [InlineData("tcp")]
    [InlineData("unix")]
    public async Task A_socket_of_systemd_is_served(string kind)
    {
        Require.Tool("systemd-socket-activate", "nbdinfo");
        using var folder = new TestFolder();
        int port = FreePorts.Take();
        string address = kind == "tcp" ? $"127.0.0.1:{port}" : folder["nbd"];
        string uri = kind == "tcp" ? $"nbd://127.0.0.1:{port}/disk" : $"nbd+unix:///disk?socket={folder["nbd"]}";
        await using var server = ChildProcess.Start(
            "systemd-socket-activate",
            ["-E", "ZEROFLOW_PASSPHRASE", "-l", address, "--fdname=nbd", await binary.PathAsync(), .. Serve(folder, port)],
            Passphrase);
        await SaidAsync(server, "Listening on");
        Assert.Equal($"{16 << 20}", (await Tool.RunAsync("nbdinfo", "--size", uri)).Trim());
        server.Send(Signal.Terminate);
        Assert.Equal(0, await server.ExitAsync(TimeSpan.FromSeconds(60)));
        Assert.Contains(kind == "tcp" ? $"on {address}, metrics" : $"on {folder["nbd"]}, metrics", server.Said, StringComparison.Ordinal);
    }

    // The promise of the socket unit: whoever connects while the server restarts waits, and nobody is refused.
    [Fact]
    public async Task Clients_that_come_during_a_restart_wait_and_those_that_were_there_come_back()
    {
        Require.Tool("python3", "nbdinfo", "qemu-io");
        using var folder = new TestFolder();
        int port = FreePorts.Take();
        await using var holder = ChildProcess.Start(
            "python3",
            [
                ProjectRoot.File("tests/scripts/hold-sockets.py"), "2", $"nbd=127.0.0.1:{port}", $"admin={folder["admin"]}", "--",
                await binary.PathAsync(), .. Serve(folder, port),
            ],
            Passphrase);
        string uri = $"nbd://127.0.0.1:{port}/disk";
        await SaidAsync(holder, "started");
        await Tool.RunAsync("nbdinfo", "--size", uri);

        // The admin socket came along, is for its owner only, and so asks for no token.
        var manager = new Operator(await binary.PathAsync(), "--admin", $"unix:{folder["admin"]}");
        Assert.Equal(["disk"], await manager.NamesAsync());

        // Attached before, and busy all the time: one write, one FLUSH and one read about every 0.1 s.
        var attached = Tool.TryAsync(
            "qemu-io",
            [
                .. Enumerable.Range(1, 45).SelectMany(i => new[]
                {
                    "-c", $"write -P {i} {i * 8}k 4k", "-c", "flush", "-c", $"read -P {i} {i * 8}k 4k", "-c", "sleep 100",
                }),
                "--image-opts", $"driver=nbd,host=127.0.0.1,port={port},export=disk,reconnect-delay=60",
            ]);
        await Task.Delay(1000, TestContext.Current.CancellationToken);
        holder.Send(Signal.HangUp);
        await SaidAsync(holder, "ended 0");

        // Nobody runs now. Connections are made all the same, and wait for a greeting.
        Assert.Equal(1, Count(holder.Output, "started"));
        var waiting = Enumerable.Range(0, 8).Select(_ => Tool.TryAsync("nbdinfo", "--size", uri)).ToArray();
        await using (var probe = new NetworkStream(await ConnectedAsync(port), ownsSocket: true))
        {
            Assert.Equal(1, Count(holder.Output, "started"));
            var greeting = new byte[8];
            await probe.ReadExactlyAsync(greeting, TestContext.Current.CancellationToken);
            Assert.Equal("NBDMAGIC", Encoding.ASCII.GetString(greeting));
        }

        foreach (var (status, said, output) in await Task.WhenAll(waiting))
            Assert.True(status == 0 && output.Trim() == $"{16 << 20}", said);
        var (code, told, _) = await attached;
        Assert.True(code == 0 && !told.Contains("failed", StringComparison.OrdinalIgnoreCase), told);
        Assert.Equal(2, Count(holder.Output, "started"));
        Assert.Equal(["disk"], await manager.NamesAsync());

        holder.Send(Signal.Terminate);
        Assert.Equal(0, await holder.ExitAsync(TimeSpan.FromSeconds(60)));
        Assert.True(File.Exists(folder["admin"]), "The file of the admin socket is its holder's, and the server removed it.");
    }

    // Each case: what stands on descriptor 3, its name, and what the refusal must say.
    [Theory]
    [InlineData("3</dev/null", "nbd", "Descriptor 3 (\"nbd\"), handed over by socket activation, is not a TCP or Unix stream socket")]
    [InlineData("3<&-", "nbd", "Descriptor 3 (\"nbd\"), handed over by socket activation, is not open.")]
    [InlineData("", "connection", "needs Accept=no")]
    [InlineData("", "web", "FileDescriptorName= must be nbd or admin")]
    [InlineData("", "nbd:admin", "LISTEN_FDNAMES has 2 names for 1 descriptors")]
    public async Task A_wrong_descriptor_is_a_wrong_configuration(string redirection, string names, string sentence)
    {
        using var folder = new TestFolder();
        int port = FreePorts.Take();
        string[] command = [await binary.PathAsync(), .. Serve(folder, port)];
        await using var server = redirection.Length > 0
            ? ChildProcess.Start(
                "bash", ["-c", $"export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES={names}; exec \"$@\" {redirection}", "-", .. command], Passphrase)
            : ChildProcess.Start(
                "python3", [ProjectRoot.File("tests/scripts/hold-sockets.py"), "0", $"{names}=127.0.0.1:{port}", "--", .. command], Passphrase);
        Assert.Equal(2, await server.ExitAsync(TimeSpan.FromSeconds(60)));
        Assert.Contains(sentence, server.Said, StringComparison.Ordinal);
    }

    private static string[] Serve(TestFolder folder, int port, params string[] more) =>
    [
        "serve", "--store", $"file://{folder.Make("store")}", "--data", folder.Make("data"),
        "--listen", $"127.0.0.1:{port}", "--admin", "127.0.0.1:0", "--export", "disk:16M", .. more,
    ];

    private static async Task<string> NextAsync(Socket manager, bool skipsBeats = true)
    {
        var buffer = new byte[4096];
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            int length = await manager.ReceiveAsync(buffer, patience.Token);
            var message = Encoding.UTF8.GetString(buffer, 0, length);
            if (!skipsBeats || message != "WATCHDOG=1") return message;
        }
    }

    private static async Task SaidAsync(ChildProcess process, string text)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!process.Said.Contains(text, StringComparison.Ordinal))
        {
            Assert.False(process.HasExited || patience.IsCancellationRequested, $"It never said '{text}':\n{process.Said}");
            await Task.Delay(20, CancellationToken.None);
        }
    }

    private static async Task<Socket> ConnectedAsync(int port)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(global::System.Net.IPAddress.Loopback, port);
        return socket;
    }

    private static int Count(string text, string word) => text.Split(word).Length - 1;
}
