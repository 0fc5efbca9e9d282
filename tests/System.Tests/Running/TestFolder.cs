namespace ZeroFlow.SystemTests.Running;

/// <summary>A folder of its own for one test, gone afterwards. <c>ZEROFLOW_KEEP=1</c> keeps it for a look.</summary>
internal sealed class TestFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("zeroflow-").FullName;

    /// <summary>A name that no other test has, for prefixes in a shared bucket.</summary>
    public string Name => global::System.IO.Path.GetFileName(Path);

    /// <summary>The path of a file or folder in it.</summary>
    public string this[string name] => global::System.IO.Path.Combine(Path, name);

    /// <summary>A folder in it, made now.</summary>
    public string Make(string name) => Directory.CreateDirectory(this[name]).FullName;

    public void Dispose()
    {
        if (Environment.GetEnvironmentVariable("ZEROFLOW_KEEP") == "1") return;
        Directory.Delete(Path, recursive: true);
    }
}
