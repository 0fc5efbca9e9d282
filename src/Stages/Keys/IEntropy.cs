using System.Security.Cryptography;

namespace ZeroFlow.Stages.Keys;

/// <summary>The source of random bytes: keys, salts, session ids. A simulation brings a seeded one. Thread-safe.</summary>
public interface IEntropy
{
    /// <summary>Fills <paramref name="bytes"/> with random bytes.</summary>
    void Fill(Span<byte> bytes);
}

/// <summary>The operating system's cryptographic random source.</summary>
public sealed class SystemEntropy : IEntropy
{
    /// <inheritdoc/>
    public void Fill(Span<byte> bytes) => RandomNumberGenerator.Fill(bytes);
}
