namespace ZeroFlow.SystemTests.Running;

/// <summary>
/// The program under test: what <c>ZEROFLOW_BINARY</c> names, or what publishing src/Host gives, once for a run.
/// </summary>
public sealed class ZeroFlowBinary : IAsyncDisposable
{
    private readonly Lazy<Task<string>> _path;
    private TestFolder? _folder;

    public ZeroFlowBinary() => _path = new Lazy<Task<string>>(ProvideAsync);

    public Task<string> PathAsync() => _path.Value;

    public ValueTask DisposeAsync()
    {
        _folder?.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<string> ProvideAsync()
    {
        if (Environment.GetEnvironmentVariable("ZEROFLOW_BINARY") is { Length: > 0 } given) return given;
        _folder = new TestFolder();
        await Tool.RunAsync(
            "dotnet", "publish", ProjectRoot.File("src/Host"), "-c", "Release", "-o", _folder.Path, "-v", "quiet");
        return _folder["zeroflow"];
    }
}
