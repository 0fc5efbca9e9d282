namespace ZeroFlow.Host.Tests;

/// <summary>A directory of its own for one test, deleted at its end.</summary>
internal sealed class TempDirectory : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("zeroflow-host-").FullName;

    public string Write(string name, string content, UnixFileMode? mode = null)
    {
        string path = System.IO.Path.Combine(Path, name);
        File.WriteAllText(path, content);
        if (mode is { } wanted) File.SetUnixFileMode(path, wanted);
        return path;
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
