using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.StandIns;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Rules;

/// <summary>A server that the rules are tried on.</summary>
/// <param name="Kind">Which one it is: each may differ where the protocol leaves it open, or where it is known to be wrong.</param>
/// <param name="Port">Where it serves the export "disk", of <see cref="Bytes"/>, all zeros at first.</param>
internal sealed record RuleTarget(string Kind, int Port)
{
    public const string ZeroFlow = "zeroflow";
    public const string Nbdkit = "nbdkit";
    public const string Qemu = "qemu-nbd";
    public const long Bytes = 128L * 1024 * 1024;

    public bool IsZeroFlow => Kind == ZeroFlow;

    public bool IsNbdkit => Kind == Nbdkit;

    public bool IsQemu => Kind == Qemu;

    public RawNbd Connect() => new(Port);

    /// <summary>A client behind the greeting.</summary>
    public RawNbd Greeted()
    {
        var client = Connect();
        client.Greet();
        return client;
    }

    /// <summary>A client that has attached the export, with simple replies.</summary>
    public RawNbd Attached() => Greeted().Go();

    /// <summary>A client with structured replies and the contexts, which has attached the export.</summary>
    public RawNbd Structured(params string[] contexts)
    {
        var client = Greeted();
        Assert.Equal(RawNbd.Ack, client.AskOne(8));
        if (contexts.Length > 0) Assert.Equal(RawNbd.Ack, client.Ask(10, RawNbd.MetaData("disk", contexts))[^1].Type);
        return client.Go();
    }
}

/// <summary>The servers, each started by the first case that needs it.</summary>
public sealed class RuleServers : IAsyncDisposable
{
    private readonly Dictionary<string, RuleTarget> _targets = [];
    private readonly Stack<IAsyncDisposable> _running = [];
    private readonly TestFolder _folder = new();

    internal async Task<RuleTarget> GetAsync(string kind, ZeroFlowBinary binary)
    {
        if (_targets.TryGetValue(kind, out var running)) return running;
        return _targets[kind] = new RuleTarget(kind, await StartAsync(kind, binary));
    }

    public async ValueTask DisposeAsync()
    {
        while (_running.TryPop(out var server)) await server.DisposeAsync();
        _folder.Dispose();
    }

    private async Task<int> StartAsync(string kind, ZeroFlowBinary binary)
    {
        if (kind == RuleTarget.ZeroFlow)
        {
            var server = await ZeroFlowServer.StartAsync(new ServerSettings(
                await binary.PathAsync(), StorePlace.InDirectory(_folder.Make("store")), _folder.Make("data"))
            {
                Exports = [$"disk:{RuleTarget.Bytes}"],
            });
            _running.Push(server);
            return server.Port;
        }

        if (kind == RuleTarget.Qemu)
        {
            await using var file = File.Create(_folder["disk"]);
            file.SetLength(RuleTarget.Bytes);
        }

        var reference = kind == RuleTarget.Nbdkit
            ? await ReferenceServer.NbdkitMemoryAsync("128M")
            : await ReferenceServer.QemuAsync(_folder["disk"]);
        _running.Push(reference);
        return reference.Port;
    }
}
