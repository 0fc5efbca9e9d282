namespace ZeroFlow.SystemTests.Wire;

/// <summary>The server answered a request with an error.</summary>
internal sealed class NbdException(string message, uint code) : Exception(message)
{
    public uint Code { get; } = code;
}
